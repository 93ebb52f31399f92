"""A folder with the net in plain PyTorch: model.py, as a person would write it, and its weights beside."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from safetensors.numpy import save

from firstlight.errors import ExportError, NoRuntimeError
from firstlight.export.exportable import Exportable
from firstlight.export.gate import Format
from firstlight.export.inference_graph import Concatenate, Softmax
from firstlight.export.pytorch.classes import net_source
from firstlight.export.pytorch.recorded import Recorded
from firstlight.export.pytorch.source import class_name, listed, paragraph, text
from firstlight.prepare import Preparation as Fitted
from firstlight.types import Array, Shape

MODEL, WEIGHTS, PREPARATION = "model.py", "model.safetensors", "preparation.safetensors"
DIGITS = 9  # of statistics; a float32 has fewer

# Runs in a process where firstlight cannot be imported: what leaves needs nothing of it.
ALONE = """
import sys
sys.modules["firstlight"] = None
folder, given, answers = sys.argv[1:]
sys.path.insert(0, folder)
import numpy
import model
numpy.save(answers, model.predict(numpy.load(given)))
"""


@dataclass(frozen=True)
class Torch(Format):
    """The net as a module of PyTorch."""

    name: ClassVar[str] = "torch"
    title: ClassVar[str] = "PyTorch"
    about: ClassVar[str] = "a readable model.py in plain PyTorch, and its weights"

    def write(self, model: Exportable, claim: str) -> dict[str, bytes]:
        """See `Format.write`."""
        nets = model.nets or (model,)
        name, shape = class_name(model.task.model.name), model.task.model.channels_first
        written = [_written(net, name) for net in nets]  # the same text for all, and other weights
        source, last = written[0][0], _last(nets[0])
        classes = re.findall(r"^class (\w+)", source, re.MULTILINE)
        made = class_name("ensemble", classes) if model.nets else name
        preparation, statistics = _preparation([net.task.preparation for net in nets])
        facts = [f"{what}: {value}" for what, value in model.facts.items()]
        page = _template().render(
            title=paragraph(_title(model, name)),
            training=paragraph(_training(model)),
            claim=paragraph(claim),
            facts=[*map(paragraph, facts)],
            class_lines="\n".join(listed("CLASSES = ", [*map(text, model.class_names)])),
            shape=model.input_shape,
            channels_first=shape,
            classes=len(model.class_names),
            preparation=preparation,
            functional=last == "estimates" or re.search(r"\bF\.|\baverage_inside\b", source),
            source=source,
            name=name,
            made=made,
            nets=len(model.nets),
            last=last,
        )
        arrays = {
            f"{f'nets.{number}.' * bool(model.nets)}{theirs}": array
            for number, (_, weights) in enumerate(written)
            for theirs, array in weights.items()
        }
        files = {MODEL: page.encode(), WEIGHTS: _saved(arrays)}
        return files | ({PREPARATION: _saved(statistics)} if statistics else {})

    def runtime(self) -> str:
        """See `Format.runtime`."""
        if find_spec("torch") is None:
            raise NoRuntimeError('PyTorch is not installed. To prove the export: pip install "firstlight[torch]"')
        return f"PyTorch {version('torch')}"

    def run(self, model: Exportable, folder: Path, pixels: Array) -> Array:
        """See `Format.run`. In a process of its own, in which firstlight cannot be imported."""
        with tempfile.TemporaryDirectory(prefix="firstlight-torch-") as place:
            given, answers = Path(place) / "images.npy", Path(place) / "answers.npy"
            np.save(given, pixels)
            command = [sys.executable, "-I", "-c", ALONE, str(folder), str(given), str(answers)]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            if done.returncode:
                last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
                raise ExportError(f"The PyTorch export does not run, so nothing was written: {last}")
            found: Array = np.load(answers)
            return found


def _written(net: Exportable, name: str) -> tuple[str, dict[str, Array]]:
    """The classes of a net, of which its own is called `name`, and its weights as PyTorch calls them."""
    chain, shape = net.task.trained_layers(), net.task.model.channels_first
    taken = {name}
    own, takes, gives = Recorded(net.operations, taken), _listed(shape), _listed(chain.output_shape(shape))
    made = net_source(chain, shape, name, f"From prepared images (N, {takes}) to outputs (N, {gives}).", own, taken)
    weights = {theirs: net.arrays[ours] if isinstance(ours, str) else ours for theirs, ours in made.weights.items()}
    return "\n\n\n".join([*own.classes.values(), made.text]), weights


@dataclass(frozen=True)
class Preparation:
    """How pixels become the net's input, as the file says it.

    divides    first by 255
    mean, std  lines that define what is then taken off, and divided by; "" where there is none, or `per_pixel`
    per_image  each image by its own mean and standard deviation
    per_net    statistics of each pixel, or of each channel, of several nets, each of which takes its own
    """

    divides: bool
    mean: str = ""
    std: str = ""
    per_pixel: bool = False
    per_image: bool = False
    per_net: bool = False


def _preparation(nets: Sequence[Fitted]) -> tuple[Preparation, dict[str, Array]]:
    """The preparation, and the statistics of each pixel where it has them, or of each net where these differ."""
    ours = nets[0]
    if not all(np.array_equal(ours.scale, net.scale) and np.array_equal(ours.shift, net.shift) for net in nets):
        std = np.stack([1 / (255 * net.scale) for net in nets])
        mean = 0.0 - np.stack([net.shift for net in nets]) * std
        return Preparation(True, per_net=True), {"mean": mean.astype(np.float32), "std": std.astype(np.float32)}
    if not ours.shift.any() and len(np.unique(ours.scale)) == 1 and ours.scale.flat[0] in (1, 1 / 255):
        return Preparation(bool(ours.scale.flat[0] != 1), per_image=ours.per_image), {}
    std = 1 / (255 * ours.scale)
    mean = 0.0 - ours.shift * std
    if mean.shape[1:] != (1, 1):
        return Preparation(True, per_pixel=True), {"mean": mean.astype(np.float32), "std": std.astype(np.float32)}
    return Preparation(True, _numbers("MEAN", mean.ravel()), _numbers("STD", std.ravel())), {}


def _numbers(name: str, values: Array) -> str:
    numbers = [repr(float(f"{value:.{DIGITS}g}")) for value in values]
    if len(numbers) == 1:
        return f"{name} = {numbers[0]}"
    return f"{name} = torch.tensor([{', '.join(numbers)}]).view({len(numbers)}, 1, 1)"


def _last(model: Exportable) -> str:
    """What makes probabilities of the outputs."""
    last = model.operations[-1]
    if not isinstance(last, Softmax):
        return "estimates"
    before = next((one for one in model.operations if one.output == last.inputs[0]), None)
    return "sigmoid" if isinstance(before, Concatenate) and before.before and not before.path else "softmax"


def _title(model: Exportable, name: str) -> str:
    height, width, channels = model.input_shape
    colours = {1: "grey", 3: "colour"}.get(channels, f"{channels}-channel")
    data = f", trained on {model.facts['data']}" if "data" in model.facts else ""
    several = f"The mean of {len(model.nets)} nets {name}" if model.nets else name
    return f"{several}{data}: {len(model.class_names)} classes of {colours} images of {height} × {width} pixels."


def _training(model: Exportable) -> str:
    if model.nets:
        return (
            "To train one of the nets further: net = load().nets[0].train(), which takes what it is given in the "
            f"forward of them all. They were trained by the loss {model.task.loss.name}."
        )
    loss = f" It was trained by the loss {model.task.loss.name}." if model.task.loss.name else ""
    return f"To train it further: net = load().train(), which takes prepare(images).{loss}"


def _listed(shape: Shape) -> str:
    return ", ".join(map(str, shape))


def _saved(arrays: dict[str, Array]) -> bytes:
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("model.py.j2")
