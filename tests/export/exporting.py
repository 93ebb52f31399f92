"""Models to export: every layer's examples as nets of their own, and every named architecture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from firstlight import layers, losses, models, optimizers
from firstlight.engines import Task
from firstlight.engines.features import FeatureNet
from firstlight.evaluation.novelty import ClassDistances
from firstlight.export import Exportable
from firstlight.export.inference_graph import operations_of
from firstlight.layers import Chain, Conv2D, Dense, Flatten, Layer, Reshape
from firstlight.models import Model
from firstlight.prepare import Preparation
from firstlight.prepare.strokes import StrokeStyle
from firstlight.types import Array, Images, Shape, unlabelled

CLASSES = 3
LAYERS = [
    kind for kind in vars(layers).values() if isinstance(kind, type) and issubclass(kind, Layer) and kind.examples
]


def nets() -> Iterator[tuple[str, Model]]:
    """A net for each example of each layer: a convolution or a product gives the layer its input."""
    for kind in LAYERS:
        for number, example in enumerate(kind.examples):
            shape = example.input_shape
            if len(shape) == 3:
                before: tuple[Layer, ...] = (Conv2D(shape[0], 3, padding="same", name="before"),)
                size = (shape[1], shape[2], 1)
            else:
                before = (
                    Flatten(name="flat"),
                    Dense(int(np.prod(shape)), name="before"),
                    Reshape(shape, name="shaped"),
                )
                size = (4, 5, 1)
            chain = Chain((*before, example.layer, Flatten(name="whole"), Dense(CLASSES, name="classes")))
            yield f"{kind.__name__}-{number}", Model(f"{kind.__name__}-{number}", chain, size, CLASSES)


def images(shape: Shape, count: int = 6, seed: int = 0) -> Images:
    """Images of noise, of the classes "a", "b" and so on."""
    return unlabelled(np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8))


def task_of(model: Model, loss: losses.Loss | None = None, **preparation: object) -> Task:
    """A task with a preparation fitted on images of noise."""
    fitted = Preparation.fit(images(model.input_shape), **preparation)  # type: ignore[arg-type]
    return Task(model, loss or losses.CrossEntropy(), fitted, optimizers.SGD())


def weights_of(model: Model, seed: int = 0) -> Array:
    """Initial weights, and running statistics as a training leaves them."""
    vector, draws = model.layout.initial(seed), np.random.default_rng(seed)
    for entry in model.layout.entries:
        if not entry.parameter.kernel:
            vector[entry.start : entry.stop] += draws.uniform(0.1, 0.5, entry.parameter.size)
    return vector


def exportable_of(task: Task, vector: Array) -> Exportable:
    """A model to export that is of no run."""
    shape = task.model.input_shape
    return Exportable(
        name="net",
        task=task,
        arrays={name: array.astype(np.float32) for name, array in task.model.layout.named(vector).items()},
        operations=operations_of(task, vector),
        class_names=tuple(f"class {k}" for k in range(task.model.classes)),
        facts={"run": "net", "test accuracy": "0.5000"},
        training=lambda: images(shape, 32, seed=1),
        strokes=lambda: StrokeStyle.of(images(shape, 32, seed=1)),
    )


def engine_probabilities(task: Task, vector: Array, pixels: Array) -> Array:
    """What the engine says of prepared images."""
    from firstlight.engines import open_engine

    session = open_engine("numpy").session(task, vector=vector)
    return task.loss.probabilities(session.outputs(unlabelled(pixels)).T)


def distances_of(task: Task, vector: Array, pixels: Array) -> tuple[ClassDistances, Array]:
    """Distances from classes that are drawn, and how strange prepared images (N, H, W, C) are by the engine."""
    from firstlight.engines import open_engine

    session = FeatureNet.of(task).session(open_engine("numpy"), task.model, vector)
    draws = images(task.model.input_shape, 60, seed=3)
    features, _ = session.features_and_outputs(draws)
    classes = ClassDistances.fit(features, np.arange(60) % CLASSES)
    assert classes is not None
    return classes, classes.distances(session.features_and_outputs(unlabelled(pixels))[0])


def architectures() -> list[str]:
    return list(models.ARCHITECTURES)


def build(name: str, classes: int = 10) -> Model:
    """A named architecture for the images that it is usually shown with."""
    shape, _ = models.default_shape(name)
    return replace(models.build(name, shape, classes))
