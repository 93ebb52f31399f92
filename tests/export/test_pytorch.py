"""The torch format: files as a person would write them, which give what the engine gives and can be trained on."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save
from tests.export.exporting import (
    architectures,
    engine_probabilities,
    exportable_of,
    images,
    nets,
    task_of,
    weights_of,
)
from tests.odd_images import broken_images, odd_images

from firstlight import losses, models, optimizers
from firstlight.engines import Task, open_engine
from firstlight.errors import ExportError, NoRuntimeError
from firstlight.export import Expected, Exportable, export, open_format, pytorch, reference
from firstlight.export.gate import largest_difference
from firstlight.export.pytorch import MODEL, PREPARATION, WEIGHTS, Torch
from firstlight.export.pytorch.classes import net_source
from firstlight.export.pytorch.recorded import Recorded
from firstlight.export.pytorch.source import MODULE
from firstlight.layers import BatchNorm, Chain, Conv2D, Dense, Dropout, Flatten, Layer, ReLU, Residual
from firstlight.models import Model
from firstlight.prepare import outside_image
from firstlight.records.run_folder import RunFolder
from firstlight.types import Array

DEEPER = ("vgg19", "resnet34", "resnet152v2", "densenet169", "densenet201")
SMALL = ("lenet5", "lenet5-dropout", "lenet5-batchnorm", "slim-cnn", "vgg-small", "pyramid-regularised", "resnet20")


def written(folder: Path, exportable: Exportable, claim: str = "Verified: so.") -> Path:
    for name, data in Torch().write(exportable, claim).items():
        (folder / name).write_bytes(data)
    return folder


def opened(folder: Path):
    """The module in `folder`, in this process."""
    spec = importlib.util.spec_from_file_location("exported_model", folder / MODEL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def difference(folder: Path, task: Task, vector: Array, count: int = 5) -> float:
    """The largest between what the file and the engine of PyTorch say."""
    test = images(task.model.input_shape, count, seed=3)
    session = open_engine("torch", device="cpu").session(task, vector=vector)
    expected = Expected(test, task.loss.probabilities(session.outputs(test).T))
    return largest_difference("torch", expected, opened(folder).predict(test.pixels))


def written_model(folder: Path, model: Model, loss: losses.Loss | None = None, **preparation: object):
    task, vector = task_of(model, loss, **preparation), weights_of(model)
    return written(folder, exportable_of(task, vector)), task, vector


@pytest.mark.parametrize(("name", "model"), [*nets()], ids=[name for name, _ in nets()])
def test_every_layer(name: str, model: Model, tmp_path: Path) -> None:
    folder, task, vector = written_model(tmp_path, model)
    assert difference(folder, task, vector) < 1e-5


@pytest.mark.parametrize(
    "name",
    [
        name if name in SMALL else pytest.param(name, marks=pytest.mark.slow)
        for name in architectures()
        if name not in DEEPER
    ],
)
def test_every_architecture(name: str, tmp_path: Path) -> None:
    model = small(name)
    folder, task, vector = written_model(tmp_path, model)
    assert difference(folder, task, vector, 2) < 1e-4
    arrays = load((folder / WEIGHTS).read_bytes())
    assert sum(array.size for array in arrays.values()) == model.parameters
    must_be_well_formed(folder)


@pytest.mark.parametrize("name", DEEPER)
def test_deeper_nets_of_the_same_blocks(name: str, tmp_path: Path) -> None:
    """What `__init__` makes has the names and shapes of the weights; nothing is computed, which would take long."""
    model = small(name)
    chain = model.layers
    made = net_source(chain, model.channels_first, "Net", "", Recorded((), set()), {"Net"})
    shapes = {entry.name: entry.parameter.shape for entry in model.layout.entries}
    space: dict[str, Any] = {"nn": torch.nn, "F": torch.nn.functional, "torch": torch, "Tensor": torch.Tensor}
    exec(made.text, space)
    with torch.device("meta"):
        net = space["Net"]()
    found = {name: tuple(value.shape) for name, value in net.state_dict().items() if "num_batches" not in name}
    assert found == {theirs: shapes[ours] for theirs, ours in made.weights.items() if isinstance(ours, str)}
    assert len(found) == len(shapes)
    assert net(torch.zeros(2, *model.channels_first, device="meta")).shape == (2, 10)


def small(name: str) -> Model:
    """A named architecture for images of at most 32 × 32."""
    shape, _ = models.default_shape(name)
    return models.build(name, (32, 32, 3) if shape[0] > 32 else shape, 10)


def must_be_well_formed(folder: Path) -> None:
    """By ruff's default settings, whatever a project has."""
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache", folder], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


def test_texts_cannot_break_the_file(tmp_path: Path) -> None:
    """Names of classes and facts are anyone's; long and odd layers beside."""
    hostile = (
        'a "b"',
        "it's",
        "both \" and '",
        "new\nline",
        '"""',
        "\\",
        "\u202eright to left",
        "ü",
        "x" * 90,
        "a, (b",
    )
    for number, (name, model) in enumerate([*nets(), ("lenet5", models.lenet5())]):
        folder = tmp_path / f"{number}_{name}"
        folder.mkdir()
        names = tuple(np.roll(hostile, number)[: model.classes].tolist())
        facts = {"run": '"""\\', "a name": "long " * 40, "": "y" * 200}
        made = exportable_of(task_of(model, standardise="channel"), np.zeros(model.parameters, np.float32))
        written(folder, replace(made, class_names=names, facts=facts), "Not verified: " + "because " * 20)
        text = (folder / MODEL).read_text(encoding="utf-8")
        assigned = {
            ast.unparse(one.targets[0]): one.value for one in ast.parse(text).body if isinstance(one, ast.Assign)
        }
        assert ast.literal_eval(assigned["CLASSES"]) == list(names)
        assert max(map(len, text.splitlines())) <= 100
    must_be_well_formed(tmp_path)


def test_names_of_layers_become_attributes(tmp_path: Path) -> None:
    names = ["train", "class", "x y", "x-y", "7", "forward", "ü" * 50, "self", "F", "conv" * 20]
    layers = [Dense(3, name=name) for name in names]
    folder, task, vector = written_model(tmp_path, Model("a model's name", Chain((Flatten(), *layers)), (2, 2, 1), 3))
    assert difference(folder, task, vector) < 1e-5
    must_be_well_formed(folder)
    attributes = list(load((folder / WEIGHTS).read_bytes()))
    assert {"train_.weight", "class_.weight", "x_y.weight", "x_y2.weight", "layer_7.weight"} <= set(attributes)
    assert {name for name in dir(torch.nn.Module()) if not name.startswith("_")} == MODULE


@pytest.mark.parametrize("standardise", ["none", "pixel", "channel", "image", "imagenet"])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_preparation(standardise: str, scale: bool, channels: int, tmp_path: Path) -> None:
    shape = (5, 4, 3 if standardise == "imagenet" else channels)
    model = Model("net", Chain((Flatten(), Dense(3))), shape, 3)
    folder, task, vector = written_model(tmp_path, model, scale=scale, standardise=standardise)
    assert difference(folder, task, vector) < 1e-5
    assert (folder / PREPARATION).exists() == (standardise == "pixel")
    must_be_well_formed(folder)
    with pytest.raises(ValueError, match="received float64"):
        opened(folder).predict(np.zeros((1, *shape)))


def test_statistics_are_numbers_that_a_person_reads(tmp_path: Path) -> None:
    model = Model("net", Chain((Flatten(), Dense(3))), (5, 4, 3), 3)
    folder, *_ = written_model(tmp_path, model, standardise="imagenet")
    module = opened(folder)
    np.testing.assert_allclose(module.MEAN.ravel(), [0.485, 0.456, 0.406], rtol=1e-7)
    np.testing.assert_allclose(module.STD.ravel(), [0.229, 0.224, 0.225], rtol=1e-7)


@pytest.mark.parametrize(("loss", "units"), [("binary-cross-entropy", 1), *((name, 2) for name in losses.LOSSES)])
def test_every_loss(loss: str, units: int, tmp_path: Path) -> None:
    model = Model("net", Chain((Flatten(), Dense(units), ReLU())[: 3 if "mse" in loss else 2]), (3, 3, 1), 2)
    folder, task, vector = written_model(tmp_path, model, losses.loss(loss))
    if "mse" in loss:
        assert (opened(folder).load()(torch.zeros(1, 1, 3, 3)) >= 0).all()
    assert difference(folder, task, vector, 40) < 1e-5
    must_be_well_formed(folder)


@dataclass(frozen=True)
class Doubled(Layer):
    """A user's own layer, of which PyTorch knows nothing: y = relu(2x) by a convolution and a sum."""

    def parameters(self, input_shape):
        return Conv2D(input_shape[0], 1).parameters(input_shape)

    def record(self, graph, p, x, path):
        y = graph.conv2d(x, p["W"], p["b"], (1, 1), ((0, 1), (1, 0)))
        y = graph.max_pool(y, (2, 2), (1, 1), ((0, 0), (0, 0)))
        y = graph.avg_pool(graph.add(y, x), (3, 3), (1, 1), ((1, 1), (1, 1)))
        return graph.softmax(graph.activation(y, "leaky", 0.1))


def test_a_layer_of_a_users_own_leaves_by_what_it_records(tmp_path: Path) -> None:
    model = Model("doubled", Chain((Doubled(), Doubled(), Flatten(), Dense(3))), (4, 5, 1), 3)
    task, vector = task_of(model), weights_of(model)
    exportable = exportable_of(task, vector)
    folder = written(tmp_path, exportable)
    test = images(model.input_shape, 4)
    expected = Expected(test, engine_of_operations(exportable, test.pixels))
    assert largest_difference("torch", expected, opened(folder).predict(test.pixels)) < 1e-6
    assert opened(folder).predict(test.pixels[:0]).shape == (0, 3)
    must_be_well_formed(folder)


def engine_of_operations(exportable: Exportable, pixels: Array) -> Array:
    *_, (_, found) = reference.values(exportable.operations, pixels)
    return found.T


def test_it_goes_on_training_as_the_engine_does(tmp_path: Path) -> None:
    """The same step by the same optimizer: weights and running statistics after it are the engine's."""
    block = Residual(Chain((Conv2D(4, padding="same", bias=False), BatchNorm(momentum=0.7, epsilon=1e-3), ReLU())))
    chain = Chain((Conv2D(4, bias=False), BatchNorm(), ReLU(), block, Dropout(0.0), Flatten(), Dense(3)))
    model = Model("net", chain, (6, 6, 1), 3)
    task, vector = replace(task_of(model), optimizer=optimizers.SGD(momentum=0.0)), weights_of(model)
    exportable = exportable_of(task, vector)
    module = opened(written(tmp_path, exportable))
    train = replace(images(model.input_shape, 12, seed=5), labels=np.arange(12) % 3, class_names=("a", "b", "c"))

    session = open_engine("torch", device="cpu").session(task, train, vector=vector)
    loss, _ = session.train_step(np.arange(12), 0, 0, 0.1)

    net = module.load().train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    ours = torch.nn.functional.cross_entropy(net(module.prepare(train.pixels)), torch.tensor(train.labels))
    ours.backward()
    optimizer.step()
    assert ours.item() == pytest.approx(loss, rel=1e-5)

    after = net_source(task.trained_layers(), model.channels_first, "Net", "", Recorded((), set()), {"Net"}).weights
    found = {name: value.numpy() for name, value in net.state_dict().items() if "num_batches" not in name}
    expected = model.layout.named(session.vector())
    assert set(found) == set(after)
    for theirs, name in after.items():
        assert isinstance(name, str)
        np.testing.assert_allclose(found[theirs], expected[name], atol=1e-5, err_msg=name)
        assert not np.allclose(found[theirs], exportable.arrays[name], atol=1e-5), f"{name} was trained"


def test_dropout_drops_as_much(tmp_path: Path) -> None:
    folder, *_ = written_model(tmp_path, models.lenet5_dropout(dropout=0.3))
    module = opened(folder)
    net = module.load()
    assert not net.training
    rates = [part.p for part in net.modules() if isinstance(part, torch.nn.Dropout)]
    assert rates == [0.3] * 3
    x = module.prepare(images((28, 28, 1), 8).pixels)
    assert not torch.equal(net.train()(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


def test_repeated_blocks_are_a_loop(tmp_path: Path) -> None:
    folder, *_ = written_model(tmp_path, models.resnet20(blocks=6))
    text = (folder / MODEL).read_text()
    assert "*(Block(channels=16) for _ in range(6))" in text
    assert "*(Block(channels=64) for _ in range(5))" in text
    assert text.count("(nn.Module):") == 3
    assert "block1.5.conv2.weight" in load((folder / WEIGHTS).read_bytes())


# --- the gate ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def leaving() -> tuple[Exportable, Expected]:
    chain = Chain((Conv2D(4), BatchNorm(), ReLU(), Dropout(0.5), Flatten(), Dense(3)))
    task = task_of(Model("net", chain, (6, 6, 1), 3), standardise="channel")
    vector = weights_of(task.model)
    test = images((6, 6, 1), 30, seed=9)
    return exportable_of(task, vector), Expected(test, engine_probabilities(task, vector, test.pixels))


@pytest.fixture
def run_folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


def test_it_is_verified_in_a_process_without_firstlight(run_folder: RunFolder, leaving, monkeypatch) -> None:
    model, expected = leaving
    monkeypatch.setattr(pytorch, "ALONE", pytorch.ALONE + NOTHING_OF_OURS)
    record = export(run_folder, model, open_format("torch"), None, expected)
    assert record.verified
    assert record.runtime.startswith("PyTorch 2.")
    assert record.largest_difference is not None
    assert record.largest_difference < 1e-5
    assert set(record.sha256) == {MODEL, WEIGHTS}
    assert "Verified: PyTorch 2." in (run_folder.path / record.path / MODEL).read_text()
    assert Torch().write(model, "so") == Torch().write(model, "so"), "the same bytes each time"


NOTHING_OF_OURS = """
ours = [name for name, module in sys.modules.items() if name.split(".")[0] == "firstlight" and module is not None]
assert not ours, ours
try:
    import firstlight
except ImportError:
    pass
else:
    raise AssertionError("firstlight could be imported")
"""


@dataclass(frozen=True)
class Spoilt(Torch):
    """Files in which something was replaced."""

    how: str = ""

    def write(self, model: Exportable, claim: str) -> dict[str, bytes]:
        files = super().write(model, claim)
        text = files[MODEL].decode()
        if self.how == "weight":
            arrays = load(files[WEIGHTS])
            arrays["conv1.weight"] = -arrays["conv1.weight"]
            return files | {WEIGHTS: save(arrays)}
        before, after = {
            "preparation": ("(x / 255 - MEAN) / STD", "x / 255"),
            "evaluation": (".eval()", ""),
            "layer": ("x = F.relu(", "x = ("),
        }[self.how]
        assert before in text
        return files | {MODEL: text.replace(before, after).encode()}

    def run(self, model: Exportable, folder: Path, pixels: Array) -> Array:
        return opened(folder).predict(pixels)  # in this process, which is quicker


@pytest.mark.parametrize("how", ["weight", "preparation", "evaluation", "layer"])
def test_spoilt_files_are_refused(how: str, run_folder: RunFolder, leaving) -> None:
    model, expected = leaving
    with pytest.raises(ExportError, match="does not agree"):
        export(run_folder, model, Spoilt(how=how), None, expected)
    assert not (run_folder.path / "export").exists()


def test_what_does_not_run_is_told(tmp_path: Path, leaving) -> None:
    model, expected = leaving
    (tmp_path / MODEL).write_text("import firstlight\n")
    with pytest.raises(ExportError, match=r"does not run, so nothing was written: ModuleNotFoundError.*firstlight"):
        Torch().run(model, tmp_path, expected.images.pixels)


def test_without_pytorch_it_says_that_it_is_not_verified(run_folder: RunFolder, leaving, monkeypatch) -> None:
    model, expected = leaving
    monkeypatch.setattr(pytorch, "find_spec", lambda name: None)
    with pytest.raises(NoRuntimeError, match=r"pip install"):
        Torch().runtime()
    record = export(run_folder, model, Torch(), None, expected)
    assert not record.verified
    assert "Not verified: PyTorch is not installed" in (run_folder.path / record.path / MODEL).read_text()


def test_writing_needs_no_pytorch() -> None:
    code = "import sys; sys.modules['torch'] = None; import firstlight.export.pytorch"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- images of people -------------------------------------------------------------------------------------------------


def test_it_reads_images_as_firstlight_does(tmp_path: Path) -> None:
    for shape in ((8, 8, 1), (12, 9, 3)):
        model = Model("net", Chain((Flatten(), Dense(3))), shape, 3)
        folder, task, _ = written_model(tmp_path, model)
        module = opened(folder)
        for name, data in odd_images().items():
            path = tmp_path / name
            path.write_bytes(data)
            np.testing.assert_array_equal(module.read_image(path), outside_image(data, task.preparation), err_msg=name)


def test_the_command_prints_the_class_of_each_file(tmp_path: Path) -> None:
    model = Model("net", Chain((Flatten(), Dense(3))), (8, 8, 1), 3)
    folder, task, vector = written_model(tmp_path, model)
    broken = {name: data for name, (data, _) in broken_images().items() if name != "too-wide.png"}  # Pillow reads it
    files = {"colour.png": odd_images()["colour.png"], **broken, "turned.jpg": odd_images()["turned.jpg"]}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-I", folder / MODEL, *(tmp_path / name for name in files), tmp_path / "gone.png"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    read = [tmp_path / "colour.png", tmp_path / "turned.jpg"]
    rows = engine_probabilities(task, vector, np.stack([outside_image(path, task.preparation) for path in read]))
    assert done.stdout.splitlines() == [
        f"{path}: class {row.argmax()} ({row.max():.1%})" for path, row in zip(read, rows, strict=True)
    ]
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == [
        str(tmp_path / name) for name in (*broken, "gone.png")
    ]
    assert done.returncode == 1
