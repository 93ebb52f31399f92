"""The operations of a net give what the engine gives, for every layer, architecture, loss and preparation."""

from __future__ import annotations

import numpy as np
import pytest
from tests.export.exporting import (
    architectures,
    build,
    distances_of,
    engine_probabilities,
    images,
    nets,
    task_of,
    weights_of,
)

from firstlight import losses
from firstlight.errors import ModelError
from firstlight.export.inference_graph import (
    INPUT,
    PROBABILITIES,
    STRANGENESS,
    BatchNorm,
    Operation,
    folded,
    operations_of,
)
from firstlight.export.reference import values
from firstlight.layers import (
    Chain,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    ReLU,
    SeparableConv2D,
)
from firstlight.models import Model
from firstlight.types import Array

NETS = dict(nets())


def answers(operations: tuple[Operation, ...], pixels: Array) -> Array:
    *_, (_, last) = values(operations, pixels)
    return last.T


@pytest.mark.parametrize("name", NETS)
def test_the_operations_of_every_layer_give_what_the_engine_gives(name: str) -> None:
    model = NETS[name]
    task, vector, pixels = task_of(model), weights_of(model), images(model.input_shape, 4, seed=2).pixels
    operations = operations_of(task, vector)
    wanted = engine_probabilities(task, vector, pixels)
    assert answers(operations, pixels) == pytest.approx(wanted, abs=1e-5)
    assert answers(folded(operations), pixels) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("name", NETS)
def test_operations_read_what_was_given_before_and_have_the_shapes_that_they_say(name: str) -> None:
    model = NETS[name]
    operations = operations_of(task_of(model), weights_of(model))
    given = {INPUT}
    for one, y in values(operations, images(model.input_shape, 2).pixels):
        assert set(one.inputs) <= given
        assert one.output not in given
        assert y.shape == (*one.shape, 2)
        given.add(one.output)
    assert operations[-1].output == PROBABILITIES
    layers = {row.name for row in model.summary()}
    assert {one.path for one in operations} - {""} <= layers
    changed = {one.path for one in operations[1:-1] if not one.output.startswith(".")}
    assert changed == {one.path for one in operations[1:-1]} - {""}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in architectures() if name not in ("vgg16", "vgg19")])
def test_every_architecture_can_leave(name: str) -> None:
    model = build(name)
    operations = operations_of(task_of(model), weights_of(model))
    assert sum(isinstance(one, BatchNorm) for one in folded(operations)) <= sum(
        isinstance(one, BatchNorm) for one in operations
    )
    assert operations[-1].shape == (10,)


@pytest.mark.parametrize("loss", losses.LOSSES.values(), ids=list(losses.LOSSES))
@pytest.mark.parametrize("units", [1, 2, 3])
def test_probabilities_are_those_of_the_loss(loss: type[losses.Loss], units: int) -> None:
    if units == 1 and loss is not losses.BinaryCrossEntropy:
        return
    classes = max(units, 2)
    model = Model("net", Chain((Flatten(), Dense(units))), (3, 4, 1), classes)
    task, vector = task_of(model, loss()), weights_of(model)
    vector[-units:] -= 1.5  # so that some images have no positive output
    pixels = images(model.input_shape, 50, seed=3).pixels
    found, wanted = answers(operations_of(task, vector), pixels), engine_probabilities(task, vector, pixels)
    assert found == pytest.approx(wanted, abs=1e-6)
    assert (found.argmax(axis=1) == wanted.argmax(axis=1)).all()


@pytest.mark.parametrize("kind", ["none", "pixel", "channel", "image", "imagenet"])
def test_the_preparation_is_a_part_of_the_net(kind: str) -> None:
    model = Model("net", Chain((Flatten(), Dense(3))), (5, 4, 3), 3)
    task, vector = task_of(model, standardise=kind), weights_of(model)
    pixels = images(model.input_shape, 9, seed=4).pixels
    found = answers(operations_of(task, vector), pixels)
    assert found == pytest.approx(engine_probabilities(task, vector, pixels), abs=1e-5)


class Doubled(Layer):
    """A layer that says nothing of its operations."""


def test_a_layer_that_records_nothing_is_named() -> None:
    model = Model("net", Chain((Flatten(), Doubled(name="twice"), Dense(3))), (2, 2, 1), 3)
    with pytest.raises(ModelError, match=r"twice \(Doubled\)"):
        operations_of(task_of(model), weights_of(model))


@pytest.mark.parametrize("name", [*NETS, "lenet5", "mlp-128", "softmax-regression", "slim-cnn"])
def test_how_strange_an_image_is_comes_from_the_features_that_the_engine_gives(name: str) -> None:
    model = NETS[name] if name in NETS else build(name)
    task, vector, pixels = task_of(model), weights_of(model), images(model.input_shape, 8, seed=2).pixels
    classes, wanted = distances_of(task, vector, pixels)
    operations = operations_of(task, vector, classes)
    for written in (operations, folded(operations)):
        found = {one.output: y for one, y in values(written, pixels)}
        assert found[STRANGENESS][0] == pytest.approx(wanted, rel=1e-3)
        assert written[-1].output == PROBABILITIES
    assert name in NETS or np.ptp(wanted) > 0  # some examples give the same for all images


@pytest.mark.parametrize(
    "last", [Conv2D(3, 1), DepthwiseConv2D(), SeparableConv2D(3)], ids=lambda last: type(last).__name__
)
def test_features_are_read_by_the_first_operation_of_the_last_layer_with_weights(last: Layer) -> None:
    chain = Chain((Conv2D(3, 3, padding="same"), ReLU(), last, GlobalAvgPool2D()))
    model = Model("net", chain, (6, 5, 1), 3)
    task, vector, pixels = task_of(model), weights_of(model), images(model.input_shape, 8, seed=2).pixels
    classes, wanted = distances_of(task, vector, pixels)
    found = {one.output: y for one, y in values(operations_of(task, vector, classes), pixels)}
    assert found[STRANGENESS][0] == pytest.approx(wanted, rel=1e-3)
