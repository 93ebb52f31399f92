"""A net with its features beside its outputs: the same outputs to the bit, and the features that the layers give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from firstlight import losses, models, optimizers
from firstlight.engines import Task, open_engine
from firstlight.engines.features import FeatureNet
from firstlight.explain import Net
from firstlight.layers import BatchNorm, Chain, Conv2D, Dense, Flatten, GlobalAvgPool2D, Layer, ReLU, Residual, Softmax
from firstlight.models import Model
from firstlight.prepare import Preparation
from firstlight.types import Images

SHAPE = (8, 8, 1)
IMAGES = Images(
    np.random.default_rng(0).integers(0, 256, (12, *SHAPE), np.uint8),
    np.arange(12) % 3,
    np.arange(12).astype(str),
    tuple("abc"),
)


def task_of(model: Model, loss: str = "cross-entropy") -> Task:
    return Task(model, losses.loss(loss), Preparation.fit(IMAGES), optimizers.optimizer("adam"))


def custom(*layers: Layer) -> Model:
    return Model("custom", Chain(layers), SHAPE, 3)


NETS: dict[str, tuple[Model, str, int]] = {
    "mlp": (models.build("mlp-128", SHAPE, 3, {}), "relu1", 128),
    "slim-cnn": (models.build("slim-cnn", SHAPE, 3, {}), "relu4", 128),
    "frozen": (Model("f", Chain((Flatten(), Dense(4), ReLU(), Dense(3))), SHAPE, 3, frozen=("dense1",)), "relu1", 4),
    "softmax at the end": (custom(Flatten(), Dense(4), ReLU(), Dense(3), Softmax()), "relu1", 4),
    "global pooling": (custom(Conv2D(5), BatchNorm(), ReLU(), GlobalAvgPool2D(), Dense(3)), "globalavgpool1", 5),
    "no dense layer": (custom(Conv2D(5), ReLU(), Conv2D(3), GlobalAvgPool2D()), "", 5),
    "nested": (custom(Chain((Flatten(), Dense(6), ReLU())), Chain((ReLU(), Chain((Dense(3),))))), "", 6),
    "wide maps": (custom(Conv2D(70, padding="same"), ReLU(), Flatten(), Dense(3)), "", 70),
}


@pytest.mark.parametrize("engine", ["numpy", "torch"])
@pytest.mark.parametrize("name", NETS)
def test_outputs_are_the_same_to_the_bit_and_features_those_of_the_layer(name: str, engine: str) -> None:
    model, path, width = NETS[name]
    task, opened = task_of(model), open_engine(engine)
    vector = model.layout.initial(3)
    session = opened.session(task, vector=vector)
    features, outputs = FeatureNet.of(task).session(opened, model, vector).features_and_outputs(IMAGES)

    assert features.shape == (12, width)
    np.testing.assert_array_equal(outputs, session.outputs(IMAGES))
    if path:
        x = session.prepared(IMAGES)
        np.testing.assert_allclose(features, session.trace(x, None, [path]).values[path], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "layers",
    [
        (Flatten(), Dense(3)),
        (Flatten(), Dense(3), Softmax()),
        (Conv2D(3, padding="same"), Residual(Chain((Conv2D(3, padding="same"), ReLU()))), GlobalAvgPool2D()),
    ],
)
def test_without_a_hidden_layer_the_outputs_are_the_features(layers: Sequence[Layer]) -> None:
    model = custom(*layers)
    task, engine = task_of(model), open_engine("numpy")
    found = FeatureNet.of(task)
    vector = model.layout.initial(0)
    features, outputs = found.session(engine, model, vector).features_and_outputs(IMAGES)
    assert found.width == 0
    np.testing.assert_array_equal(features, engine.session(task, vector=vector).outputs(IMAGES))
    np.testing.assert_array_equal(features, outputs)


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_it_works_for_every_loss(loss: str) -> None:
    model = models.build("two-layer", SHAPE, 3, {"hidden": 5})
    task, engine = task_of(model, loss), open_engine("numpy")
    vector = model.layout.initial(0)
    features, outputs = FeatureNet.of(task).session(engine, model, vector).features_and_outputs(IMAGES)
    assert (features.shape, outputs.shape) == ((12, 5), (12, 3))


def test_the_layer_is_the_one_that_explanations_take() -> None:
    for model, path, _ in NETS.values():
        if path:
            task = task_of(model)
            assert Net(open_engine("numpy").session(task), task).hidden == path
