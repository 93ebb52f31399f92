"""ONNX: each net gives in ONNX Runtime what the engine gives, reads like its summary, and is refused when spoilt."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import PIL.Image
import pytest
from tests.experiments.small_runs import do
from tests.export.exporting import (
    architectures,
    build,
    engine_probabilities,
    exportable_of,
    images,
    nets,
    task_of,
    weights_of,
)

from firstlight import losses, models
from firstlight.engines import Task, open_engine
from firstlight.errors import ExportError
from firstlight.export import Expected, Exportable, export
from firstlight.export.inference_graph import operations_of
from firstlight.export.onnx import Onnx, model_proto
from firstlight.layers import (
    AvgPool2D,
    Chain,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    MaxPool2D,
    PadChannels,
    ReLU,
    Residual,
    Softmax,
    Tanh,
)
from firstlight.models import Model
from firstlight.records.run_folder import RunFolder
from firstlight.trained_run import Run
from firstlight.types import Array, Dataset, unlabelled

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
ReferenceEvaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator

NETS = dict(nets())
LARGE = {
    "resnet18",
    "resnet34",
    "vgg16",
    "vgg19",
    "densenet121",
    "densenet169",
    "densenet201",
    "resnet50",
    "resnet101v2",
    "resnet152v2",
}


def session(model: Exportable) -> Any:
    [data] = Onnx().write(model, "").values()
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


def answers(task: Task, vector: Array, pixels: Array) -> Array:
    model, form = exportable_of(task, vector), Onnx()
    return form.answers(model, form.write(model, ""), pixels)


def one_layer(layer: Layer, shape: tuple[int, int, int]) -> Model:
    return Model("net", Chain((layer, Flatten(), Dense(3))), shape, 3)


@pytest.mark.parametrize("name", NETS)
def test_every_layer_gives_what_the_engine_gives(name: str) -> None:
    model = NETS[name]
    task, vector, pixels = task_of(model), weights_of(model), images(model.input_shape, 5, seed=2).pixels
    found, wanted = answers(task, vector, pixels), engine_probabilities(task, vector, pixels)
    assert found == pytest.approx(wanted, abs=1e-6)
    assert (found.argmax(axis=1) == wanted.argmax(axis=1)).all()
    # Not in ONNX Runtime alone: this is what the standard itself says.
    standard = ReferenceEvaluator(model_proto(exportable_of(task, vector), ""))
    assert standard.run(["probabilities"], {"images": pixels})[0] == pytest.approx(wanted, abs=1e-6)


WINDOWS = [
    MaxPool2D(20, stride=3),  # of more than 256 pixels
    MaxPool2D((2, 3), stride=(5, 4), padding=(1, 2)),  # a stride beyond the window
    MaxPool2D(3, stride=2, padding=((0, 2), (1, 0))),
    MaxPool2D(5, stride=4, padding="same"),
    AvgPool2D(20, stride=3),
    AvgPool2D((2, 3), stride=(5, 4), padding=(1, 2)),
    AvgPool2D(3, stride=2, padding=((0, 2), (1, 0))),
    AvgPool2D(5, stride=4, padding="same"),
    AvgPool2D((23, 21)),  # the whole image
    Conv2D(2, 20, stride=2, padding=((0, 7), (3, 1))),
    Conv2D(2, (2, 1), stride=(5, 4)),
    Conv2D(2, (23, 21)),
]


@pytest.mark.parametrize("layer", WINDOWS, ids=str)
def test_windows_of_any_kind(layer: Layer) -> None:
    # Below zero everywhere: a zero of the padding would win.
    model = one_layer(layer, (23, 21, 1))
    task, vector = task_of(model), weights_of(model)
    below = replace(task, preparation=replace(task.preparation, shift=task.preparation.shift - 2))
    pixels = images(model.input_shape, 4, seed=5).pixels
    assert answers(below, vector, pixels) == pytest.approx(engine_probabilities(below, vector, pixels), abs=1e-6)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in architectures()],
)
def test_every_architecture_gives_what_the_engine_gives(name: str) -> None:
    (side, _, channels), _ = models.default_shape(name)
    shape = (min(side, 32), min(side, 32), channels)
    model = models.build(name, shape, 10)
    task, vector, pixels = task_of(model), model.layout.initial(0), images(shape, 2, seed=3).pixels
    outputs = open_engine("numpy").session(task, vector=vector).outputs(unlabelled(pixels))
    # Untrained, it may give outputs so large that all probabilities are 0 or 1.
    last = f"{model.summary()[-1].name}.W"
    [head] = [one for one in model.layout.entries if one.name == last]
    vector[head.start : head.stop] /= outputs.std()
    wanted = task.loss.probabilities(outputs.T / outputs.std())
    assert 0.01 < wanted.std() < 0.2
    assert answers(task, vector, pixels) == pytest.approx(wanted, abs=2e-6)


@pytest.mark.parametrize("loss", losses.LOSSES.values(), ids=list(losses.LOSSES))
@pytest.mark.parametrize("units", [1, 3])
def test_probabilities_are_those_of_the_loss(loss: type[losses.Loss], units: int) -> None:
    if units == 1 and loss is not losses.BinaryCrossEntropy:
        return
    model = Model("net", Chain((Flatten(), Dense(units))), (3, 4, 1), max(units, 2))
    task, vector = task_of(model, loss()), weights_of(model)
    vector[-units:] -= 1.5  # so that some images have no positive output
    pixels = images(model.input_shape, 50, seed=3).pixels
    found, wanted = answers(task, vector, pixels), engine_probabilities(task, vector, pixels)
    assert found == pytest.approx(wanted, abs=1e-6)
    assert (found.argmax(axis=1) == wanted.argmax(axis=1)).all()


def test_large_outputs_do_not_overflow() -> None:
    model = one_layer(Flatten(), (4, 4, 1))
    task, vector = task_of(model), weights_of(model) * 1e5
    pixels = images(model.input_shape, 20).pixels
    found = answers(task, vector, pixels)
    assert np.isfinite(found).all()
    assert found == pytest.approx(engine_probabilities(task, vector, pixels), abs=1e-6)


@pytest.mark.parametrize("kind", ["none", "pixel", "channel", "image", "imagenet"])
def test_the_preparation_is_inside(kind: str) -> None:
    model = one_layer(Flatten(), (5, 4, 3))
    task, vector = task_of(model, standardise=kind), weights_of(model)
    pixels = images(model.input_shape, 9, seed=4).pixels
    assert answers(task, vector, pixels) == pytest.approx(engine_probabilities(task, vector, pixels), abs=1e-6)


@pytest.mark.parametrize("shape", [(28, 28, 1), (5, 7, 3), (33, 31, 1)])
def test_images_that_are_nearly_of_one_value_are_standardized_as_in_the_engine(shape: tuple[int, int, int]) -> None:
    model = one_layer(Flatten(), shape)
    task, vector = task_of(model, standardise="image"), weights_of(model)
    constant = np.broadcast_to(np.arange(256, dtype=np.uint8).reshape(-1, 1, 1, 1), (256, *shape)).copy()
    nearly = constant.copy()
    nearly[:, 2, 3, 0] ^= 1
    for pixels in (constant, nearly):
        assert answers(task, vector, pixels) == pytest.approx(engine_probabilities(task, vector, pixels), abs=2e-6)
    alike = answers(task, vector, constant)
    assert (alike == alike[0]).all()


def test_any_number_of_images() -> None:
    model = NETS["Conv2D-0"]
    run = session(exportable_of(task_of(model), weights_of(model)))
    for count in (1, 2, 7):
        probabilities, classes = run.run(None, {"images": images(model.input_shape, count).pixels})
        assert (probabilities.shape, probabilities.dtype) == ((count, 3), np.float32)
        assert (classes.shape, classes.dtype) == ((count,), np.int64)
        assert (classes == probabilities.argmax(axis=1)).all()


def test_many_images_go_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstlight.export.onnx.MEMORY", 2**10)
    model = NETS["Conv2D-0"]
    task, vector, pixels = task_of(model), weights_of(model), images(model.input_shape, 23).pixels
    assert answers(task, vector, pixels) == pytest.approx(engine_probabilities(task, vector, pixels), abs=1e-6)


def sides(value: Any) -> list[Any]:
    return [one.dim_param or one.dim_value for one in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize(
    "name", [*NETS, "lenet5", "lenet5-dropout", "lenet5-batchnorm", "resnet20", "slim-cnn", "pyramid"]
)
def test_the_graph_reads_like_the_summary(name: str) -> None:
    model = NETS[name] if name in NETS else build(name)
    task, vector = task_of(model), weights_of(model)
    graph = model_proto(exportable_of(task, vector), "").graph
    nodes = {node.name: node for node in graph.node}
    values = {value.name: sides(value) for value in graph.value_info}
    sizes: dict[str, int] = {}
    for array in graph.initializer:
        path, _, name = array.name.rpartition(".")
        if name not in ("pads", "shape"):
            sizes[path] = sizes.get(path, 0) + math.prod(array.dims)
    assert len(nodes) == len(graph.node)
    used = {one.path for one in operations_of(task, vector)}
    rows = [row for row in model.summary() if row.name in used]
    assert {row.type for row in model.summary() if row.name not in used} <= {"Dropout", "Flatten", "Reshape", "Chain"}
    assert [name for name in nodes if name in used] == [row.name for row in rows]
    for row in rows:
        *size, features = row.output_shape
        outputs = {name for node in graph.node if node.name.startswith(row.name) for name in node.output}
        value = row.name if row.name in values else f"{row.name}_"  # "probabilities" is the graph's own
        assert value in outputs
        assert values[value] == ["N", features, *size]
        assert sizes.get(row.name, 0) == row.parameters
        assert nodes[row.name].doc_string.startswith(f"{row.type}: {' × '.join(map(str, row.output_shape))}")


KINDS = {
    "Conv2D-0": ["Conv"],
    "Dense-0": ["Gemm"],
    "MaxPool2D-3": ["MaxPool"],
    "AvgPool2D-2": ["AveragePool"],
    "GlobalAvgPool2D-0": ["GlobalAveragePool", "Flatten"],
    "BatchNorm-1": ["BatchNormalization"],
    "ELU-1": ["Elu"],
    "SELU-1": ["Selu"],
    "GELU-1": ["Gelu"],
    "LeakyReLU-1": ["LeakyRelu"],
    "Reshape-1": ["Reshape"],
    "PadChannels-0": ["Pad"],
    "Softmax-0": ["Softmax"],
}


@pytest.mark.parametrize("name", KINDS)
def test_a_layer_is_one_node_where_onnx_has_it(name: str) -> None:
    model = NETS[name]
    path = model.summary()[-3].name  # the two after it make classes of what it gives
    graph = model_proto(exportable_of(task_of(model), weights_of(model)), "").graph
    assert [node.op_type for node in graph.node if node.name.split(".")[0] == path] == KINDS[name]


def test_a_last_activation_that_the_loss_contains_keeps_its_name() -> None:
    model = Model("net", Chain((Flatten(), Dense(3), Softmax(name="answer"))), (2, 2, 1), 3)
    graph = model_proto(exportable_of(task_of(model), weights_of(model)), "").graph
    assert [node.name for node in graph.node][-3:] == ["dense1", "answer", "class"]


def test_names_that_the_file_needs_may_be_those_of_layers() -> None:
    layers = Chain(
        (
            Chain((Conv2D(2, 1, name="mul"), Conv2D(2, 1, name="scale")), name="prepare"),
            Residual(Chain((Conv2D(2, 1, name="images"), Tanh(name="pads"))), PadChannels(0, 0), name="\n\x00é"),
            ReLU(name="class"),
            GlobalAvgPool2D(name="estimates"),
            Dense(3, name="probabilities"),
        )
    )
    model = Model("net", layers, (4, 3, 3), 3)
    task, vector, pixels = task_of(model), weights_of(model), images(model.input_shape).pixels
    assert answers(task, vector, pixels) == pytest.approx(engine_probabilities(task, vector, pixels), abs=1e-6)


def test_what_is_known_of_the_model_is_inside_and_the_same_model_gives_the_same_bytes() -> None:
    model = NETS["Conv2D-0"]
    hostile = ('<script>"\\', "ünïcødé 数字", "\ud800")
    leaving = replace(exportable_of(task_of(model), weights_of(model)), class_names=hostile, name="caf\udce9 [1]")
    [data] = Onnx().write(leaving, "The claim.").values()
    assert [data] == list(Onnx().write(leaving, "The claim.").values())
    pixels = images(model.input_shape).pixels
    assert Onnx().answers(leaving, {f"{leaving.name}.onnx": data}, pixels).shape == (6, 3)
    read = onnx.load_from_string(data)
    known = {one.key: one.value for one in read.metadata_props}
    assert tuple(json.loads(known.pop("class_names"))) == hostile
    assert json.loads(known.pop("input_shape")) == list(model.input_shape)
    assert known.pop("gate") == "The claim."
    assert known == leaving.facts
    assert read.doc_string.endswith("The claim.")
    assert read.producer_name == "firstlight"
    [taken] = read.graph.input
    assert (taken.name, sides(taken)) == ("images", ["N", *model.input_shape])


def test_a_model_that_no_protobuf_can_hold_is_refused() -> None:
    model = NETS["Dense-0"]
    leaving = exportable_of(task_of(model), weights_of(model))
    huge = {"dense1.W": np.broadcast_to(np.float32(0), (2**15, 2**14))}
    with pytest.raises(ExportError, match=r"2\.00 GiB.*less than 2 GiB"):
        Onnx().write(replace(leaving, arrays=huge), "")


# What goes wrong in exports by other hands, each of which the gate must see.


def flip_a_weight(graph: Any) -> None:
    [W] = [one for one in graph.initializer if one.name == "conv1.W"]
    changed = onnx.numpy_helper.to_array(W).copy()
    changed[0, 0, 1, 1] *= -1
    W.CopyFrom(onnx.numpy_helper.from_array(changed, W.name))


def drop_the_preparation(graph: Any) -> None:
    _replace(graph, "prepare", onnx.helper.make_node("Identity", ["prepare.float32"], ["prepare.add"]))


def swap_the_channels(graph: Any) -> None:
    index = onnx.numpy_helper.from_array(np.array([2, 1, 0]), "order")
    graph.initializer.append(index)
    _replace(
        graph, "prepare.float32", onnx.helper.make_node("Cast", ["prepare.channels_first"], ["cast"], to=1),
        onnx.helper.make_node("Gather", ["cast", "order"], ["prepare.float32"], axis=1),
    )  # fmt: skip


def turn_the_image(graph: Any) -> None:
    turned = onnx.helper.make_node("Transpose", ["images"], ["prepare.channels_first"], perm=[0, 3, 2, 1])
    _replace(graph, "prepare.channels_first", turned)


def round_the_weights(graph: Any) -> None:
    [W] = [one for one in graph.initializer if one.name == "dense1.W"]
    coarse = onnx.numpy_helper.to_array(W).astype(np.float16).astype(np.float32) * np.float32(1.002)
    W.CopyFrom(onnx.numpy_helper.from_array(coarse, W.name))


def take_the_smallest(graph: Any) -> None:
    _replace(graph, "class", onnx.helper.make_node("ArgMin", ["probabilities"], ["class"], axis=1, keepdims=0))


def name_a_value_that_is_not_there(graph: Any) -> None:
    graph.node[-1].input[0] = "nothing"


def _replace(graph: Any, name: str, *others: Any) -> None:
    [place] = [i for i, node in enumerate(graph.node) if node.name == name]
    nodes = [*graph.node[:place], *others, *graph.node[place + 1 :]]
    del graph.node[:]
    graph.node.extend(nodes)


@dataclass(frozen=True)
class Spoilt(Onnx):
    spoil: Callable[[Any], None] = field(default=flip_a_weight)
    name: ClassVar[str] = "spoilt"

    def write(self, model: Exportable, claim: str) -> dict[str, bytes]:
        proto = model_proto(model, claim)
        self.spoil(proto.graph)
        return {"net.onnx": proto.SerializeToString()}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


@pytest.fixture(scope="module")
def leaving() -> tuple[Exportable, Expected]:
    model = Model("net", Chain((Conv2D(4, 3), ReLU(), Flatten(), Dense(3))), (6, 6, 3), 3)
    task, vector = task_of(model, standardise="channel"), weights_of(model)
    test = images(model.input_shape, 40, seed=7)
    return exportable_of(task, vector), Expected(test, engine_probabilities(task, vector, test.pixels))


def test_the_whole_is_verified_and_recorded(folder: RunFolder, leaving: tuple[Exportable, Expected]) -> None:
    record = export(folder, leaving[0], Onnx(), None, leaving[1])
    assert record.verified
    assert record.runtime == f"ONNX Runtime {onnxruntime.__version__}"
    assert (record.path, record.images) == ("export/net.onnx", 40)
    assert record.largest_difference is not None
    assert record.largest_difference < 1e-6
    assert "40 test images" in onnx.load(folder.path / record.path).doc_string


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (flip_a_weight, r"of 40 test images \d+ differ.*by up to 0\.\d+.*The first is 0, by"),
        (drop_the_preparation, "of 40 test images 40 differ"),
        (swap_the_channels, r"of 40 test images \d+ differ"),
        (turn_the_image, r"of 40 test images \d+ differ"),
        (round_the_weights, r"of 40 test images \d+ differ, 0 of them in their class"),
        (take_the_smallest, "for 40 of 40 images `class` is not"),
        (name_a_value_that_is_not_there, "ONNX Runtime cannot run the export"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_spoilt_export_is_not_written(
    spoil: Callable[[Any], None], message: str, folder: RunFolder, leaving: tuple[Exportable, Expected]
) -> None:
    with pytest.raises(ExportError, match=message):
        export(folder, leaving[0], Spoilt(spoil), None, leaving[1])
    assert list(folder.path.iterdir()) == []


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_a_trained_run_leaves_and_is_used_as_the_documentation_says(
    engine: str,
    few_digits: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if engine == "torch":
        pytest.importorskip("torch")
    layers = [{"type": "Conv2D", "filters": 4}, {"type": "Flatten"}, {"type": "Dense", "units": 10}]
    tables = {
        "data": {"source": "few-digits", "test": 0.2},
        "prepare": {"standardise": "image"},
        "model": {"layers": layers},
        "training": {"epochs": 1},
        "engine": engine,
    }
    monkeypatch.setattr(Run, "report", lambda self: None)  # which takes longer than all else
    run = Run(do(tables, tmp_path / "run", few_digits).path, data=few_digits)
    record = run.export("onnx", tmp_path / "lenet5.onnx")
    assert record.images == len(run.predictions["test"].ids)
    assert record.largest_difference is not None
    assert record.largest_difference < 1e-5

    PIL.Image.fromarray(few_digits.splits["train"].pixels[0, :, :, 0]).save(tmp_path / "seven.png")
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "guide" / "export.md").read_text(encoding="utf-8")
    [script] = [code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "onnxruntime" in code]
    exec(script, {})
    said, sure = capsys.readouterr().out.split()
    [wanted] = run.predict("seven.png")
    assert (said, float(sure)) == (run.class_names[wanted.argmax()], pytest.approx(wanted.max(), abs=1e-6))


def test_without_onnx_runtime_it_is_written_as_not_verified(
    folder: RunFolder, leaving: tuple[Exportable, Expected], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    record = export(folder, leaving[0], Onnx(), None, leaving[1])
    assert not record.verified
    assert 'pip install "firstlight[export]"' in record.not_verified
    assert onnx.load(folder.path / record.path).doc_string.endswith(f"Not verified: {record.not_verified}")


def test_without_onnx_it_cannot_be_written(
    folder: RunFolder, leaving: tuple[Exportable, Expected], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ExportError, match=r'pip install "firstlight\[export\]"'):
        export(folder, leaving[0], Onnx(), None, leaving[1])
