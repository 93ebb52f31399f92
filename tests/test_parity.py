"""The parity check: the engines pass it, and nothing that is tampered with does."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

import firstlight as fl
from firstlight import losses, optimizers
from firstlight.engine_parity import check as check_
from firstlight.engine_parity import differences, speed
from firstlight.engine_parity.check import compare_gradients, random_images
from firstlight.engines import Task
from firstlight.engines.torch import tuning
from firstlight.errors import DataError, ExperimentError, ModelError
from firstlight.layers import (
    ELU,
    GELU,
    LAYERS,
    SELU,
    AvgPool2D,
    BatchNorm,
    Chain,
    Concat,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    LeakyReLU,
    MaxPool2D,
    PadChannels,
    ReLU,
    Reshape,
    Residual,
    Sigmoid,
    Softmax,
    Tanh,
)
from firstlight.models import Model
from firstlight.prepare import Preparation
from firstlight.records.parity import GRADIENT, WHOLE_NET
from firstlight.types import Array, Dataset

SEVERAL = (
    *(Conv2D(4, padding="same"), BatchNorm(), ReLU()),
    Residual(Chain((Conv2D(4, padding="same", bias=False), LeakyReLU())), name="block"),
    *(MaxPool2D(2), Concat((Chain(()), Chain((Conv2D(2, 1), ELU())))), PadChannels(1, 1)),
    *(AvgPool2D(2), Dropout(0.3), Flatten(), Dense(24), SELU(), Reshape((6, 2, 2)), GELU(), GlobalAvgPool2D()),
    *(Dense(5), Sigmoid(), Dense(5), Softmax(), Dense(6), Tanh()),
)


def others(kinds: Iterable[str]) -> Iterator[Layer]:
    """Layers of these kinds, each in one of its examples, which a dense layer feeds."""
    for kind in kinds:
        example = LAYERS[kind].examples[0]
        shape = example.input_shape
        yield from (Flatten(), Dense(math.prod(shape)), Reshape(shape), replace(example.layer, name=""), Flatten())


def all_layers() -> Model:
    """A net of every layer that there is: those of `SEVERAL`, and any other."""
    several = {row.type for row in Model("", Chain(SEVERAL), (8, 8, 3), 6).summary()} | {"Chain"}
    layers = (*SEVERAL, *others(kind for kind in LAYERS if kind not in several), Dense(4, name="head"))
    return Model("all-layers", Chain(layers), (8, 8, 3), 4)


ALL_LAYERS = all_layers()
PARAMETERS = {"Conv2D": ("W", "b"), "Dense": ("W", "b"), "BatchNorm": ("gamma", "beta")}
NAMED = ("two-layer", "mlp-128-64", "lenet5", "lenet5-batchnorm", "lenet5-dropout", "vgg-small", "resnet20")
Forward = Callable[..., Any]
MADE_OF = {"SeparableConv2D": ("DepthwiseConv2D", "Conv2D")}  # layers that do their work by others, and fail with them


def small(kind: str) -> Model:
    """A net of a few layers with one of this kind, and of each that does its work by it."""
    kinds = (kind, *(name for name, parts in MADE_OF.items() if kind in parts))
    layers = (Conv2D(2, 3), BatchNorm(), *others(kinds), Dense(4, name="head"))
    return Model(kind, Chain(layers), (5, 5, 3), 4)


def check(model: Model | str, options: dict[str, Any] | None = None, **asked: Any) -> fl.Parity:
    """A check of a few steps."""
    return check_.check(model, options=options, **{"steps": 2, **asked})


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small arrays gain nothing from threads, and lose much where other tests run beside."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)


def hasten(patch: pytest.MonkeyPatch) -> None:
    """Measure seconds per step over as few steps as may be: no test asserts a time."""
    patch.setattr(speed, "BLOCK", 0.0)
    patch.setattr(speed, "BUDGET", 0.0)
    patch.setattr(tuning, "TRIAL", 0.0)


@pytest.fixture(scope="module")
def untampered() -> Iterator[fl.Parity]:
    with pytest.MonkeyPatch.context() as patch:
        hasten(patch)
        yield check(ALL_LAYERS, steps=4, batch_size=8, kernels="reference")


def again(untampered: fl.Parity, loss: losses.Loss | None = None, model: Model = ALL_LAYERS) -> fl.Parity:
    """The same check with its gradients taken again, of what has been tampered with since."""
    images = random_images(model.input_shape, model.classes, 8, seed=0)
    preparation = Preparation.fit(images, standardise="channel")
    task = Task(model, loss or losses.CrossEntropy(), preparation, optimizers.Adam())
    layers, row, parameters = compare_gradients(task, images, "reference", lambda text: None)
    return replace(untampered, layers=layers, loss=row, parameters=parameters)


def failures(parity: fl.Parity, kind: str) -> list[str]:
    """What it says, less what it says of layers that fail because they are made of this kind."""
    made = [f"({name}):" for name, parts in MADE_OF.items() if kind in parts]
    assert all(any(word in failure for failure in parity.failures) for word in made)
    return [failure for failure in parity.failures if not any(word in failure for word in made)]


def innermost(parity: fl.Parity, kind: str) -> list[str]:
    """The paths of the layers of a type, less those that hold another of that type."""
    paths = [row.path for row in parity.layers if row.type == kind]
    return [
        path for path in paths if not any(other.startswith(f"{path}.") or not path for other in paths if other != path)
    ]


# --- what is sound passes ---------------------------------------------------------------------------------------------


def test_a_net_of_all_layers_passes(untampered: fl.Parity) -> None:
    assert {row.type for row in untampered.layers} == set(LAYERS)
    assert untampered.failures == []
    assert untampered.passed
    assert 0 < untampered.hand_autograd < GRADIENT
    assert 0 < untampered.hand_central < GRADIENT
    assert untampered.whole_central < WHOLE_NET
    assert "agree on all-layers" in untampered.verdict


def test_every_layer_and_every_parameter_has_a_row(untampered: fl.Parity) -> None:
    paths = [row.path for row in untampered.layers]
    assert paths[0] == "conv1"
    assert paths[-1] == ""  # the chain of all
    assert paths.index("block.body.conv1") < paths.index("block.body") < paths.index("block")
    assert len(set(paths)) == len(paths)
    trained = [entry.name for entry in ALL_LAYERS.layout.entries if entry.parameter.trainable]
    assert [row.name for row in untampered.parameters] == trained
    assert [
        f"{row.path}.{name}" for row in untampered.layers for name in row.parameters if not row.container
    ] == trained
    for row in untampered.layers:
        assert (row.dx.hand_central is None) == row.container


@pytest.mark.parametrize("name", losses.LOSSES)
def test_every_loss_passes(untampered: fl.Parity, name: str) -> None:
    assert again(untampered, losses.loss(name)).failures == []


@pytest.mark.parametrize("name", ["sgd", "adamw", "rmsprop"])
def test_other_optimizers_pass(name: str) -> None:
    assert check("mlp-128-64", {"units": (8,)}, optimizer=name).failures == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_the_seven_models_pass(name: str) -> None:
    small = {"vgg-small": (8, 8, 1), "resnet20": (8, 8, 3)}  # these two on images of a sixteenth
    model = fl.models.build(name, small[name], 10) if name in small else name
    steps = 50 if name == "mlp-128-64" else 10
    parity = check(model, steps=steps, batch_size=16)
    assert parity.failures == []
    assert (parity.model, parity.steps) == (name, steps)


def test_real_images_are_resized_to_what_the_model_takes(digits: Dataset) -> None:
    small = check("softmax-regression", data=digits, steps=2)
    assert small.input_shape == (8, 8, 1)
    assert small.images == "64 training images of digits"
    large = check("lenet5", data=digits, steps=1, batch_size=4)
    assert large.input_shape == (28, 28, 1)
    assert large.images.endswith("training images of digits, resized to 28×28")
    assert large.failures == []
    built = check(fl.models.build("mlp-128", (6, 5, 3), 10, {"units": (4,)}), data="digits", steps=1)
    assert built.input_shape == (6, 5, 3)


def test_the_same_seed_gives_the_same_differences() -> None:
    first, second, other = (check("mlp-128-64", {"units": (6,)}, seed=seed) for seed in (1, 1, 2))
    assert first.layers == second.layers
    assert first.parameters == second.parameters
    assert first.runs[0] == second.runs[0]
    assert first.parameters != other.parameters


# --- what is tampered with is named -----------------------------------------------------------------------------------


def scaled(x: Array) -> Array:
    return 1.01 * x


def shifted(x: Array) -> Array:
    return x + 0.01


def tamper(
    patch: pytest.MonkeyPatch, kind: type[Layer], change: Callable[[Array], Array | None], what: str = "dx"
) -> None:
    """Change what the backward of a type of layer returns: dx, or a parameter's gradient; None loses it."""
    sound: Forward = kind.forward

    def forward(self: Layer, p: Any, x: Array, run: Any) -> Any:
        y, backward = sound(self, p, x, run)

        def tampered(dy: Array) -> Any:
            dx, gradients = backward(dy)
            if what == "dx":
                return (None if dx is None else change(dx)), gradients
            if what in gradients:
                changed = change(gradients[what])
                gradients = {name: g for name, g in gradients.items() if name != what}
                gradients |= {} if changed is None else {what: changed}
            return dx, gradients

        return y, tampered

    patch.setattr(kind, "forward", forward)


def assert_names(parity: fl.Parity, kind: str, *words: str) -> None:
    """The check fails, names all layers of the type and nothing else, and says what is wrong with each."""
    assert not parity.passed
    told = failures(parity, kind)
    assert [failure.split(" (")[0] for failure in told] == innermost(parity, kind)
    for failure in told:
        assert all(word in failure for word in words), failure
    assert parity.failures[0] in parity.verdict


@pytest.mark.parametrize("change", [scaled, shifted])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_wrong_dx_is_named(
    untampered: fl.Parity, monkeypatch: pytest.MonkeyPatch, kind: str, change: Callable[[Array], Array]
) -> None:
    tamper(monkeypatch, LAYERS[kind], change)
    by_differences = () if kind in ("Chain", "Residual", "Concat") else ("so the gradient by hand is wrong",)
    model = ALL_LAYERS if change is scaled else small(kind)
    assert_names(again(untampered, model=model), kind, f"({kind}): dx by hand and by autograd differ", *by_differences)


@pytest.mark.parametrize("change", [scaled, shifted, lambda gradient: None], ids=["scaled", "shifted", "lost"])
@pytest.mark.parametrize(("kind", "parameter"), [(kind, name) for kind, names in PARAMETERS.items() for name in names])
def test_a_wrong_gradient_by_a_parameter_is_named(
    untampered: fl.Parity,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    parameter: str,
    change: Callable[[Array], Array | None],
) -> None:
    tamper(monkeypatch, LAYERS[kind], change, parameter)
    parity = again(untampered, model=small(kind))
    named = [row for row in parity.layers if row.type == kind and parameter in row.parameters]
    told = failures(parity, kind)
    assert [failure.split(" (")[0] for failure in told] == [row.path for row in named]
    assert all(f"({kind}): d{parameter} by hand and by autograd differ" in failure for failure in told)
    assert all("so the gradient by hand is wrong" in failure for failure in told)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_wrong_output_is_named(untampered: fl.Parity, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    sound: Forward = LAYERS[kind].forward

    def forward(self: Layer, p: Any, x: Array, run: Any) -> Any:
        y, backward = sound(self, p, x, run)
        return y + 1e-6, backward

    monkeypatch.setattr(LAYERS[kind], "forward", forward)
    assert_names(again(untampered, model=small(kind)), kind, "the outputs of layer and twin differ")


@pytest.mark.parametrize("kind", LAYERS)
def test_a_wrong_twin_is_named(untampered: fl.Parity, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    sound: Forward = LAYERS[kind].twin

    def twin(self: Layer, torch: Any, p: Any, x: Any, run: Any) -> Any:
        y = sound(self, torch, p, x, run)
        return 1.01 * y - 0.01 * y.detach()  # the same value, and a larger gradient

    monkeypatch.setattr(LAYERS[kind], "twin", twin)
    parity = again(untampered, model=small(kind))
    by_differences = () if kind in ("Chain", "Residual", "Concat") else ("so the twin is wrong",)
    assert_names(parity, kind, "dx by hand and by autograd differ", *by_differences)


def test_wrong_running_statistics_are_named(untampered: fl.Parity, monkeypatch: pytest.MonkeyPatch) -> None:
    sound: Forward = BatchNorm.forward

    def forward(self: BatchNorm, p: Any, x: Array, run: Any) -> Any:
        answer = sound(self, p, x, run)
        if run.training:
            p["var"] *= 1.001
        return answer

    monkeypatch.setattr(BatchNorm, "forward", forward)
    assert_names(again(untampered), "BatchNorm", "the running statistics of layer and twin differ")


def test_a_fault_in_evaluation_alone_is_named(untampered: fl.Parity, monkeypatch: pytest.MonkeyPatch) -> None:
    sound: Forward = Dropout.forward

    def forward(self: Dropout, p: Any, x: Array, run: Any) -> Any:
        y, backward = sound(self, p, x, run)
        return (y if run.training else 0.9 * y), backward

    monkeypatch.setattr(Dropout, "forward", forward)
    assert_names(again(untampered), "Dropout", "the outputs of layer and twin differ")


def test_a_fault_that_no_layer_shows_is_named_by_its_parameters(
    untampered: fl.Parity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first layer goes another way where nobody wants its dx. (Its bias has none to double before a batch norm.)"""
    sound: Forward = Conv2D.forward

    def forward(self: Conv2D, p: Any, x: Array, run: Any) -> Any:
        y, backward = sound(self, p, x, run)
        return y, backward if run.needs_dx else lambda dy: (None, {n: 2 * g for n, g in backward(dy)[1].items()})

    monkeypatch.setattr(Conv2D, "forward", forward)
    parity = again(untampered)
    assert [failure.split(":")[0] for failure in parity.failures] == ["conv1.W"]
    assert all("through the whole net by hand and by autograd differ" in failure for failure in parity.failures)
    assert all("so the gradient by hand is wrong" in failure for failure in parity.failures)


@pytest.mark.parametrize("name", losses.LOSSES)
@pytest.mark.parametrize("part", ["gradient", "values", "twin"])
def test_a_tampered_loss_is_named(untampered: fl.Parity, monkeypatch: pytest.MonkeyPatch, name: str, part: str) -> None:
    kind = losses.LOSSES[name]
    sound: Forward = getattr(kind, part)
    monkeypatch.setattr(kind, part, lambda *arguments: 1.01 * sound(*arguments))
    parity = again(untampered, kind(), small("Dense"))
    [failure] = parity.failures
    assert failure.startswith(f"The loss {name}: ")
    words = {
        "gradient": "dy by hand and by autograd differ",
        "values": "the values of loss and twin differ",
        "twin": "central differences agree with the gradient by hand, so the twin is wrong",
    }
    assert words[part] in failure


def test_an_optimizer_that_differs_shows_in_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    sound: Forward = optimizers.Adam.update

    def update(self: optimizers.Adam, *given: Any) -> None:
        *before, state, lr = given
        sound(self, *before, state | {"step": state["step"] + 1}, lr)

    monkeypatch.setattr(optimizers.Adam, "update", update)
    parity = check("mlp-128-64", {"units": (8,)}, steps=4)
    assert max(row.gradient.hand_autograd for row in parity.parameters) < GRADIENT
    assert parity.failures[0].startswith("Training in float64: the losses differ by more than 1e-09 from step 2 on")
    assert "check the optimizer" in parity.failures[0]


def test_masks_that_differ_show_in_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    sound: Forward = Dropout.twin

    def twin(self: Dropout, torch: Any, p: Any, x: Any, run: Any) -> Any:
        return sound(self, torch, p, x, replace(run, uniform=None))

    monkeypatch.setattr(Dropout, "twin", twin)
    parity = check("lenet5-dropout", steps=1, batch_size=4)
    assert not parity.runs[0].passed
    assert {failure.split(" (")[0] for failure in parity.failures[:-2]} == {"dropout1", "dropout2", "dropout3"}


# --- in Python --------------------------------------------------------------------------------------------------------


def test_the_same_in_python_with_a_page(tmp_path: Path) -> None:
    page = tmp_path / "parity.html"
    options = {"units": (6,)}
    parity = fl.parity("mlp-128-64", options=options, steps=1, out=page, console=Console(quiet=True))
    assert isinstance(parity, fl.Parity)
    assert parity.passed
    assert parity.verdict.split(".")[0] in page.read_text()
    assert fl.parity(fl.models.mlp_128_64(units=(6,)), steps=1, console=Console(quiet=True)).layers == parity.layers


def test_a_report_can_read_the_record_where_no_engine_is_loaded() -> None:
    code = "import sys, firstlight.report.pages.parity; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numba", "torch", "firstlight.engines"} & set(loaded)


# --- the record -------------------------------------------------------------------------------------------------------


def test_the_record_is_plain(untampered: fl.Parity) -> None:
    record = json.loads(json.dumps(untampered.to_json(), allow_nan=False))
    assert record["passed"] is True
    assert record["failures"] == []
    assert record["largest"]["hand_autograd"] == untampered.hand_autograd
    assert record["layers"][0]["path"] == "conv1"
    assert record["layers"][0]["parameters"]["W"]["hand_autograd"] < GRADIENT
    assert [run["precision"] for run in record["runs"]] == ["float64", "float32"]
    assert len(record["runs"][0]["loss"]) == record["steps"] == 4
    assert record["runs"][1]["rate"] == pytest.approx(record["runs"][0]["rate"] / 100)
    assert set(record["engines"]) == {"numpy", "torch"}
    assert record["speed"]["numpy"]["median"] > 0
    lost = replace(untampered, loss=replace(untampered.loss, value=math.inf))
    assert json.loads(json.dumps(lost.to_json(), allow_nan=False))["loss"]["value"] is None


def test_rounding_that_training_made_grow_is_told_from_a_fault(untampered: fl.Parity) -> None:
    double, single = untampered.runs
    grown = replace(untampered, runs=(double, replace(single, loss=(1e-7, 2e-3, 1e-4, 1e-4))))
    [failure] = grown.failures
    assert "float32" in failure
    assert "from step 2 on, at most by 2.0e-03. In float64 they agree" in failure


# --- differences ------------------------------------------------------------------------------------------------------


def test_relative_differences() -> None:
    a = np.array([3.0, -4.0])
    assert differences.relative_difference(a, a) == 0
    assert differences.relative_difference(a, np.array([3.0, -4.001])) == pytest.approx(1e-3 / 4.001)
    assert differences.relative_difference(a, 2 * a, scale=1e6) == pytest.approx(4 / 1e3)  # small among larger numbers
    assert differences.relative_difference(np.zeros(2), np.zeros(2)) == 0
    assert differences.relative_difference(a, a[:1]) == differences.relative_difference(None, a) == math.inf
    assert differences.relative_difference(a, np.array([3.0, np.nan])) == math.inf


def test_central_differences_tell_how_exact_they_are() -> None:
    smooth = differences.derivative(lambda t: np.exp(np.array([0.3 + t])), np.ones(1), 1e-2, 1e-12)
    assert abs(smooth[0] - math.exp(0.3)) <= max(1e-12, 10 * smooth[1])
    kinked = differences.derivative(lambda t: np.abs(np.array([t + 1e-4])), np.ones(1), 1e-2, 1e-10)
    assert kinked[0] == pytest.approx(1.0, abs=1e-9)  # with steps that stay on its side of the kink
    corner = differences.derivative(lambda t: np.maximum(np.array([t]), 0), np.ones(1), 1e-2, 1e-10)
    assert corner[0] == pytest.approx(0.5)  # which no one-sided derivative equals
    noise = np.random.default_rng(0)
    rough = differences.derivative(lambda t: noise.standard_normal(1), np.ones(1), 1e-2, 1e-10)
    assert rough[1] > 1e-3


def test_a_direction_moves_few_numbers_and_not_the_array() -> None:
    array = np.random.default_rng(0).normal(size=(40, 50))
    before = array.copy()
    u = differences.Direction.random(array, np.random.default_rng(1))
    moved = u.moved(array, 0.5)
    np.testing.assert_array_equal(array, before)
    assert np.count_nonzero(moved - array) == differences.MOVED
    assert u.along(array) == pytest.approx(float(((moved - array) * array).sum() / 0.5))
    assert math.isnan(u.along(None))


# --- mistakes ---------------------------------------------------------------------------------------------------------


def test_mistakes_are_told_before_anything_is_measured(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    for mistake, words in (
        ({"steps": 0}, "steps must be at least 1"),
        ({"batch_size": 1}, "batch_size must be at least 2"),
        ({"lr": -1.0}, "lr must be above 0"),
        ({"kernels": "fast"}, "fast"),
        ({"optimizer": "adma"}, "adam"),
        ({"loss": "mae"}, "mae"),
    ):
        with pytest.raises(ExperimentError, match=words):
            check_.check("lenet5", **mistake)
    with pytest.raises(ModelError, match="lenet5"):
        check_.check("lenet")
    with pytest.raises(ModelError, match="no such option"):
        check_.check("lenet5", options={"depth": 3})
    with pytest.raises(DataError, match="digits"):
        check_.check("lenet5", "digitz")
    with pytest.raises(ModelError, match="all-layers tells 4 classes apart; digits has 10"):
        check_.check(ALL_LAYERS, digits)
    monkeypatch.setattr("firstlight.engines.find_spec", lambda name: None)
    with pytest.raises(ExperimentError, match="needs PyTorch"):
        check_.check("lenet5")
