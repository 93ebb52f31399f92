"""A step taken apart: the engine's own numbers, each with the terms that make it, for every layer of a net."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from tests.training_step.nets import NETS, course, images

from firstlight.app.pages.step import answers
from firstlight.engines.numpy import NumpyEngine
from firstlight.errors import ModelError
from firstlight.formulas import mathml
from firstlight.layers import Backward, Chain, Conv2D, Dense, Flatten, Layer, Pass, Tree
from firstlight.layers.container import Container, Named
from firstlight.losses import LOSSES, loss
from firstlight.losses.loss_step import general as general_loss
from firstlight.models import Model
from firstlight.optimizers import OPTIMIZERS, optimizer
from firstlight.training_step import Course, Step, course_of_model
from firstlight.types import Array, Shape


def decoded(array: dict[str, Any]) -> Array:
    return np.frombuffer(base64.b64decode(array["float32"]), "<f4").reshape(array["shape"])


@pytest.mark.parametrize("net", NETS)
def test_a_step_is_that_of_the_engine_to_the_last_bit(net: str) -> None:
    subject = course(net)
    step = subject.start.forward(2)
    session = NumpyEngine("reference").session(subject.task, images())
    for number in range(2):
        session.train_step(np.arange(4), number, 0, subject.rate)
    np.testing.assert_array_equal(step.vector, session.vector())
    loss, correct, gradient = session.gradients(np.arange(4), 2, 0)
    assert (step.loss.value, int((step.predicted == step.images.labels).sum())) == (loss, correct)
    np.testing.assert_array_equal(step.gradient, gradient[0])
    session.restore(step.vector)  # batch norm has seen the images once more
    session.train_step(np.arange(4), 2, 0, subject.rate)
    np.testing.assert_array_equal(step.after, session.vector())
    np.testing.assert_array_equal(step.after, step.forward().vector)


def test_a_step_is_that_of_the_compiled_net_but_for_the_order_of_its_sums() -> None:
    subject = course("conv")
    session = NumpyEngine().session(subject.task, images())
    for number in range(3):
        session.train_step(np.arange(4), number, 0, subject.rate)
    np.testing.assert_allclose(subject.at(3).vector, session.vector(), atol=2e-5)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("net", NETS)
def test_every_number_of_a_net_is_worked_out(net: str, training: bool) -> None:
    step = course(net).start.forward(1)
    step = step if training else step.in_evaluation()
    draw = np.random.default_rng(0)
    for path, layer in step.layers.items():
        assert layer.x is (step.layers[layer.source].y if layer.source else step.x)
        for of, array in layer.arrays.items():
            places = np.unravel_index(draw.integers(0, array.size, 2), array.shape)
            for index in zip(*map(np.ndarray.tolist, places), strict=True):
                made = step.working(path, of, index)
                assert made.agrees, (path, of, index, made.to_json())


def test_the_net_ends_in_the_loss_and_begins_in_the_images() -> None:
    step = course().start
    last = list(step.layers)[-1]
    assert last == "dense1"  # the softmax is the loss's own
    np.testing.assert_array_equal(step.layers[last].y, step.loss.y)
    np.testing.assert_array_equal(step.layers[last].dy, step.loss.dy)
    assert step.layer("conv1").dx.shape == step.x.shape == (1, 8, 8, 4)
    assert step.layer("conv1").source == ""
    with pytest.raises(ModelError, match=r"conv9.*Did you mean conv"):
        step.layer("conv9")
    with pytest.raises(ModelError, match=r"no 'Q' to work out"):
        step.working("conv1", "Q", (0,))
    with pytest.raises(ModelError, match=r"shape \(4, 8, 8, 4\)"):
        step.working("conv1", "y", (0, 0, 8, 0))


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_and_its_gradient_are_worked_out(name: str) -> None:
    plain = course("dense", loss=loss(name))
    weighted = Course(replace(plain.task, class_weights=np.array([1.0, 2.0, 0.5])), plain.images)
    step = plain.start
    for subject in (step.loss, weighted.start.loss):
        for of, array in subject.arrays.items():
            for index in np.ndindex(array.shape):
                for made in (subject.working(of, index), general_loss(subject, of, index)):
                    assert made.agrees, (of, index, made.to_json())
                    assert not made.against(made.value * 1.01 + 1e-3).agrees
                    assert made.rounding < 1e-4
                    assert all(mathml(line.formula) for line in made.lines)
    with pytest.raises(ModelError, match="no 'p' to work out"):
        step.working("loss", "p", (0,))
    with pytest.raises(ModelError, match=r"received the place \(9,\)"):
        step.working("loss", "value", (9,))


@pytest.mark.parametrize("net", NETS)
def test_a_weights_derivative_is_found_in_three_ways(net: str) -> None:
    pytest.importorskip("torch")
    step = course(net).start.forward(1)
    for path, layer in step.layers.items():
        for name, array in {} if isinstance(layer.layer, Container) else layer.gradients.items():
            index = tuple(map(int, np.unravel_index(np.abs(array).argmax(), array.shape)))
            weight = step.weight(f"{path}.{name}", index)
            assert weight.by_autograd is not None
            assert weight.agrees, (path, name, weight.to_json())
            assert weight.working.agrees
            assert weight.update.agrees
            assert not weight.equals(weight.by_hand * 1.05 + 1e-4)
            middle = len(weight.offsets) // 2
            assert weight.losses[middle] == pytest.approx(step.loss.value, rel=1e-5)
            assert weight.tangent[middle] == weight.losses[middle] == weight.loss_at(weight.value)


def test_what_is_not_trained_has_no_derivative() -> None:
    step = course("dense").start
    for name, index, message in (
        ("batchnorm1.mean", (0,), "is not trained"),
        ("dense1.V", (0, 0), "Did you mean dense1"),
        ("dense1.W", (0, 64), r"shape \(6, 64\)"),
    ):
        with pytest.raises(ModelError, match=message):
            step.weight(name, index)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizers_step_is_written_out_with_its_numbers(name: str) -> None:
    """At the first step, and after some, by which its moments are no longer zero."""
    options = {"sgd": {"momentum": 0.9, "nesterov": True}}.get(name, {})
    subject = course("dense", optimizer=optimizer(name, **options))
    for step in (subject.start, subject.at(3)):
        for array in ("dense1.W", "dense1.b", "dense2.W"):
            weight = step.weight(array, (1, 2)[: step.course.task.model.layout.named(step.vector)[array].ndim])
            assert weight.update.agrees, weight.update.to_json()
            assert weight.update.value == step.forward().vector[weight.update.index[0]]
            assert not weight.update.against(weight.update.value + 0.05 * subject.rate + 1e-5).agrees
            assert weight.update.lines[-1].symbol == "θ"
            assert all(mathml(line.formula) for line in weight.update.lines)


def test_a_spoilt_gradient_is_seen_to_disagree(monkeypatch: pytest.MonkeyPatch) -> None:
    from firstlight.kernels import reference

    right = reference.conv2d_dW
    monkeypatch.setattr(reference, "conv2d_dW", lambda *arguments: right(*arguments) * np.float32(1.02))
    step = course().start
    index = tuple(map(int, np.unravel_index(np.abs(step.layer("conv1").gradients["W"]).argmax(), (4, 1, 3, 3))))
    assert not step.working("conv1", "W", index).agrees
    assert not step.weight("conv1.W", index).equals(step.weight("conv1.W", index).by_nudge)
    assert step.working("conv1", "y", (0, 1, 1, 0)).agrees


def test_the_step_as_json() -> None:
    step = course("residual").start
    told = json.loads(json.dumps(step.to_json()))
    assert [layer["path"] for layer in told["layers"]] == list(step.layers)
    assert told["layers"][0] | {"statistics": None} == {
        "path": "conv1", "type": "Conv2D", "source": "", "container": False,
        "options": {"filters": 4, "padding": "same"},
        "input_shape": [1, 8, 8], "output_shape": [4, 8, 8],
        "parameters": {"W": {"shape": [4, 1, 3, 3], "trained": True}, "b": {"shape": [4], "trained": True}},
        "statistics": None,
    }  # fmt: skip
    assert {one["path"] for one in told["layers"] if one["container"]} >= {"residual1", "residual1.body"}
    assert told["loss"] == {"type": "cross-entropy", "value": step.loss.value, "penalty": 0}
    assert len(told["images"]) == 4
    layer = json.loads(json.dumps(step.layer("conv1").to_json(2)))
    np.testing.assert_array_equal(decoded(layer["arrays"]["y"]), step.layer("conv1").y[..., 2])
    np.testing.assert_array_equal(decoded(layer["gradients"]["W"]), step.layer("conv1").gradients["W"])
    end = step.loss.to_json(1)
    np.testing.assert_array_equal(decoded(end["arrays"]["dy"]), step.loss.dy[:, 1])
    for part, image in ((step.layer("conv1"), 4), (step.layer("conv1"), -1), (step.loss, 4), (step.loss, "0")):
        with pytest.raises(ModelError, match=r"The step has 4 images, 0 to 3; received the image"):
            part.to_json(image)  # type: ignore[arg-type]
    weight = json.loads(json.dumps(step.weight("conv1.W", (0, 0, 1, 1)).to_json(autograd=False)))
    assert (weight["by_autograd"], weight["nudge_agrees"]) == (None, True)


def test_many_terms_are_cut_to_the_largest_and_what_is_left_is_added_up() -> None:
    made = course().start.working("conv1", "W", (0, 0, 1, 1))
    [product] = made.to_json(most=10)["lines"][0]["products"]
    assert (product["terms"], product["omitted"], len(product["values"])) == (256, 246, 10)
    assert sum(product["values"]) + product["omitted_sum"] == pytest.approx(made.worked, rel=1e-9)


def test_numbers_that_are_not_finite_are_texts() -> None:
    step = course("dense").start
    vector = step.vector.copy()
    vector[:] = np.inf
    told = json.dumps(Step(step.course, 0, vector, step.state).to_json())
    assert '"NaN"' in told
    assert "NaN," not in told


def test_one_image_of_ones_own() -> None:
    step = course_of_model("lenet5", np.zeros((28, 28), np.uint8), 3).start
    assert (step.x.shape, step.loss.value > 0, step.images.labels.tolist()) == ((1, 28, 28, 1), True, [3])


@dataclass(frozen=True)
class Twice(Container):
    """y = f(f(x)): a container of one's own that asks its one child twice, or, `unseen`, not in its pass."""

    unseen: bool = False
    f: Layer = field(default_factory=lambda: Conv2D(1, padding="same"))

    def named(self) -> Named:
        return (("f", self.f),)

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        run = replace(run, watch=None) if self.unseen else run
        z, first = run.through(self.f, "f", p, x, True)
        y, second = run.through(self.f, "f", p, z, True)

        def backward(dy: Array) -> tuple[Array | None, Tree]:
            dz, later = second(dy)
            assert dz is not None
            dx, sooner = first(dz)
            return dx, {"f": {name: sooner[name] + later[name] for name in sooner}}

        return y, backward


@pytest.mark.parametrize("unseen", [False, True])
def test_a_container_that_does_not_ask_each_child_once_is_one_layer(unseen: bool) -> None:
    """A gradient by weights that are used twice is the sum of both; neither alone is shown for it."""
    model = Model("own", Chain((Twice(unseen), Flatten(), Dense(3))), (8, 8, 1), 3)
    step = course_of_model(model, images()).start.forward(1)
    assert list(step.layers) == ["twice1", "flatten1", "dense1"]
    layer = step.layer("twice1")
    assert list(layer.parameters) == ["f.W", "f.b"]
    for of, array in layer.arrays.items():
        assert step.working("twice1", of, tuple(side // 2 for side in array.shape)).agrees, of
    weight = step.weight("twice1.f.W", (0, 0, 1, 1))
    assert weight.equals(weight.by_nudge)
    assert step.statistics["twice1"].ratio
    told = answers.net(step, 800)
    assert told["net"]
    assert [tensor["name"] for tensor in told["layers"][0]["tensors"]][:3] == ["x", "f.W", "f.b"]
    assert "df.W" in answers.tensors(layer, 0)
    json.dumps(step.to_json())


@pytest.mark.parametrize("index", [3, None, "0,0,0,0", (0, 1.7, 0, 0), (0, -1, 0, 0)])
def test_a_place_is_whole_numbers(index: Any) -> None:
    step = course().start
    for ask in (
        partial(step.working, "conv1", "W"),
        partial(step.weight, "conv1.W"),
        partial(step.working, "loss", "dy"),
    ):
        with pytest.raises(ModelError, match="whole numbers from 0"):
            ask(index)
    with pytest.raises(ModelError, match=r"whole numbers; received 1\.5"):
        step.forward(1.5)  # type: ignore[arg-type]
    assert step.forward(-2).number == 0
