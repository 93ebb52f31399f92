"""A folder with the net in plain PyTorch: model.py, as a person would write it, and its weights beside."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
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
from firstlight.export.exportable import NONE_OF_THESE, Exportable
from firstlight.export.gate import FORMATS, Format
from firstlight.export.inference_graph import INPUT, Concatenate, Operation, Softmax, Strangeness, head
from firstlight.export.pytorch.classes import net_source
from firstlight.export.pytorch.recorded import Recorded
from firstlight.export.pytorch.source import class_name, listed, paragraph, text
from firstlight.prepare import Preparation as Fitted
from firstlight.types import Array, Shape

MODEL, WEIGHTS, PREPARATION, NOVELTY = (
    "model.py",
    "model.safetensors",
    "preparation.safetensors",
    "novelty.safetensors",
)
DIGITS = 9  # of statistics; a float32 has fewer

# Runs in a process where firstlight cannot be imported: what leaves needs nothing of it.
ALONE = """
import sys
sys.modules["firstlight"] = None
folder, given, answers = sys.argv[1:]
sys.path.insert(0, folder)
import numpy
import model
images = numpy.load(given)
found = [model.predict(images)]
if hasattr(model, "strangeness"):
    found.append(model.strangeness(images)[:, None])
numpy.save(answers, numpy.concatenate(found, axis=1))
"""


@FORMATS.register
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
        features = _features(nets[0], written[0][1]) if model.tells_strangeness else None
        told = model.facts.items() if features else [(k, v) for k, v in model.facts.items() if k != NONE_OF_THESE]
        facts = [f"{what}: {value}" for what, value in told]
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
            functional=features or last == "estimates" or re.search(r"\bF\.|\baverage_inside\b", source),
            features=features,
            source=source,
            name=name,
            made=made,
            nets=len(model.nets),
            last=last,
        )
        arrays = {
            f"{f'nets.{number}.' * bool(model.nets)}{theirs}": array
            for number, (net, (_, weights)) in enumerate(zip(nets, written, strict=True))
            for theirs, ours in weights.items()
            for array in [net.arrays[ours] if isinstance(ours, str) else ours]
        }
        files = {MODEL: page.encode(), WEIGHTS: _saved(arrays)}
        tables = {PREPARATION: statistics, NOVELTY: _distances(model) if features else {}}
        return files | {name: _saved(found) for name, found in tables.items() if found}

    def tells_strangeness(self, model: Exportable) -> bool:
        """See `Format.tells_strangeness`. Not of a last layer of a user's own, whose input has no name."""
        nets = model.nets or (model,)
        return model.tells_strangeness and _features(nets[0], _written(nets[0], "Net")[1]) is not None

    def runtime(self) -> str:
        """See `Format.runtime`."""
        if find_spec("torch") is None:
            raise NoRuntimeError('PyTorch is not installed. To verify the export: pip install "firstlight[torch]"')
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


def _written(net: Exportable, name: str) -> tuple[str, dict[str, str | Array]]:
    """The classes of a net, of which its own is called `name`, and what its weights are called by their names there.

    Arrays stand for themselves where they have no name of ours.
    """
    chain, shape = net.task.trained_layers(), net.task.model.channels_first
    taken = {name}
    own, takes, gives = Recorded(net.operations, taken), _listed(shape), _listed(chain.output_shape(shape))
    made = net_source(chain, shape, name, f"From prepared images (N, {takes}) to outputs (N, {gives}).", own, taken)
    return "\n\n\n".join([*own.classes.values(), made.text]), made.weights


@dataclass(frozen=True)
class Features:
    """What the strangeness of an image is measured by.

    module  what reads them, such as "head"; "" where they are the outputs
    then    what is done to them, such as ".mean(dim=(2, 3))" to maps
    """

    module: str
    then: str = ""


def _features(net: Exportable, weights: Mapping[str, str | Array]) -> Features | None:
    """Those of a net; None where the layer that reads them has no name in PyTorch."""
    given = {one.output: one for one in net.operations}
    found = next(one for one in net.operations if isinstance(one, Strangeness))
    last = head(net.operations)
    before: list[str] = [found.inputs[0]]
    while (one := given[before[-1]]).path == found.path:  # means of maps
        before.append(one.inputs[0])
    if last.output in _ancestors(given, before[-1]):
        return Features("")
    own = {theirs: ours for theirs, ours in weights.items() if isinstance(ours, str)}
    module = next((theirs.rpartition(".")[0] for theirs, ours in own.items() if ours == f"{last.path}.W"), None)
    if not module:
        return None
    if len(before) == 1:
        return Features(module)
    flat = given[last.inputs[0]].shape
    maps = given[before[-1]].shape
    return Features(module, ".mean(dim=(2, 3))" if len(flat) == 3 else f".unflatten(1, ({maps[0]}, -1)).mean(dim=2)")


def _ancestors(given: Mapping[str, Operation], name: str) -> set[str]:
    """The values that one is made of, itself among them."""
    found, left = set[str](), [name]
    while left:
        one = left.pop()
        if one != INPUT and one not in found:
            found.add(one)
            left += given[one].inputs
    return found


def _distances(model: Exportable) -> dict[str, Array]:
    """What the distances from the classes are computed with, of each net where there are several."""
    each = [one for one in model.operations if isinstance(one, Strangeness)]
    before = [f"nets.{number}." for number in range(len(each))] if model.nets else [""]
    return {
        f"{net}{name}": array
        for net, one in zip(before, each, strict=True)
        for name, array in (("whitening", one.W), ("centres", one.c))
    }


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
