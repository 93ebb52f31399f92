"""The whole check: a model and images in, the record of how far the engines agree out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from firstlight import data as datasets
from firstlight import kernels as kernel_sets
from firstlight import losses, models, optimizers
from firstlight.engine_parity import STEPS
from firstlight.engine_parity.graph import compare_graph
from firstlight.engine_parity.layers import compare_layers, compare_loss, perturbed
from firstlight.engine_parity.parameters import compare_parameters
from firstlight.engine_parity.side_by_side import compare_runs
from firstlight.engine_parity.speed import measure_speed
from firstlight.engines import Task, open_engine
from firstlight.errors import ExperimentError, ModelError
from firstlight.experiments import USUAL
from firstlight.experiments.environment import environment
from firstlight.layers import Pass
from firstlight.models import Model
from firstlight.prepare import Preparation
from firstlight.randomness import generator
from firstlight.records.parity import LayerRow, LossRow, ParameterRow, Parity
from firstlight.types import Array, Dataset, Images, Shape
from firstlight.weights import Layout

GRADIENT_IMAGES = 4  # few, so that central differences seldom cross a kink; batch norm needs more than two
MEMORY = 64e6  # bytes of images that are made or taken; where the steps need more, they come round again
SLOWER = 0.01  # the learning rate in float32, as a share of that in float64

Note = Callable[[str], None]


def check(
    model: Model | str,
    data: Dataset | str | Path | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    steps: int = STEPS,
    batch_size: int = USUAL.training.batch_size,
    optimizer: str | optimizers.Optimizer = USUAL.optimizer.name,
    lr: float | None = None,
    loss: str | losses.Loss = USUAL.loss.name,
    seed: int = USUAL.seed,
    kernels: str = USUAL.kernels,
    note: Note | None = None,
) -> Parity:
    """Compare the engines numpy and torch on a model; see `firstlight.api.parity`."""
    began = time.perf_counter()
    note = note or (lambda text: None)
    for name, value, least in (("steps", steps, 1), ("batch_size", batch_size, 2), ("seed", seed, 0)):
        if value < least:
            raise ExperimentError(f"parity: {name} must be at least {least}; received {value}.")
    if lr is not None and not lr > 0:
        raise ExperimentError(f"parity: lr must be above 0; received {lr}.")
    open_engine("numpy", kernels=kernels)  # one that is missing is told before anything is loaded
    open_engine("torch", device="cpu")
    chosen_loss = losses.loss(loss) if isinstance(loss, str) else loss
    chosen_optimizer = optimizers.optimizer(optimizer) if isinstance(optimizer, str) else optimizer
    rate = _rate(chosen_optimizer) if lr is None else lr
    model, images, said = _model_and_images(model, data, options or {}, batch_size * steps, seed)
    preparation = Preparation.fit(images, standardise="channel")
    task = Task(model, chosen_loss, preparation, chosen_optimizer, seed=seed)
    layers, loss_row, parameters = compare_gradients(task, images, kernels, note)
    note("the compiled graph")
    graph = compare_graph(task, images, _perturbed_weights(model.layout, seed), kernel_sets.load(kernels))
    # In float32, rounding tips a ReLU or a max pool now and then, and what training makes of that grows with its rate.
    rates = {"float64": rate, "float32": SLOWER * rate}
    common: dict[str, Any] = {"batch_size": batch_size, "kernels": kernels, "note": note}
    runs = tuple(compare_runs(task, images, precision=p, steps=steps, rate=r, **common) for p, r in rates.items())
    speed, engines = measure_speed(task, images, rate=rate, **common)
    return Parity(
        model=model.name,
        options=dict(model.options),
        input_shape=model.input_shape,
        classes=model.classes,
        parameter_count=model.parameters,
        images=said,
        gradient_images=min(GRADIENT_IMAGES, len(images)),
        batch_size=batch_size,
        seed=seed,
        optimizer=optimizer if isinstance(optimizer, str) else type(optimizer).__name__,
        layers=layers,
        loss=loss_row,
        parameters=parameters,
        runs=runs,
        speed=speed,
        engines=engines,
        environment=environment(),
        seconds=time.perf_counter() - began,
        graph=graph,
    )


def _rate(optimizer: optimizers.Optimizer) -> float:
    """The learning rate that an optimizer has by default."""
    return float(vars(optimizer.innermost)["lr"])


def compare_gradients(
    task: Task, images: Images, kernels: str, note: Note
) -> tuple[tuple[LayerRow, ...], LossRow, tuple[ParameterRow, ...]]:
    """The rows of the layers, of the loss and of the parameters, at a few images and at weights off all kinks."""
    layers, layout, loops = task.trained_layers(), task.model.layout, kernel_sets.load(kernels)
    index = np.arange(min(GRADIENT_IMAGES, len(images)))
    draw = generator(task.seed, "parity", "point")
    x = perturbed(loops.gather(images.pixels, index, *task.preparation.scale_shift(np.float64)), draw)
    vector, labels = _perturbed_weights(layout, task.seed), images.labels[index]
    note("layer by layer")
    rows = compare_layers(layers, layout.tree(vector), x, loops, task.seed)
    run = Pass(loops, True, noise=lambda path: generator(task.seed, "noise", path))
    y, _ = layers.forward(layout.tree(vector.copy()), x, run)
    loss_row = compare_loss(task.loss, y, labels, task.seed)
    parameters = compare_parameters(layers, task.loss, layout, vector, x, labels, loops, task.seed, note)
    return tuple(rows), loss_row, tuple(parameters)


def _perturbed_weights(layout: Layout, seed: int) -> Array:
    """Initial weights, each moved a little: none is zero, so that a fault in what multiplies it shows."""
    vector = layout.initial(seed, np.float64)
    for entry in layout.entries:
        part = slice(entry.start, entry.stop)
        draw = generator(seed, "parity", "weights", entry.name)
        vector[part] = perturbed(vector[part], draw)
    return vector


def _model_and_images(
    model: Model | str, data: Dataset | str | Path | None, options: Mapping[str, Any], n: int, seed: int
) -> tuple[Model, Images, str]:
    """The model, up to n images that fit it, and in words what images these are."""
    if isinstance(model, Model) and options:
        raise ExperimentError("parity: options are for a model given by its name; this one is built already.")
    if data is None:
        built = model if isinstance(model, Model) else models.build(model, *models.default_shape(model), options)
        n = max(GRADIENT_IMAGES, min(n, int(MEMORY / math.prod(built.input_shape))))
        return (
            built,
            random_images(built.input_shape, built.classes, n, seed),
            f"{n} images of random pixels, with random labels",
        )
    dataset = data if isinstance(data, Dataset) else datasets.load(data)
    classes = len(dataset.class_names)
    images = datasets.split(dataset, seed=seed, limit=max(n, classes))["train"]
    if isinstance(model, Model):
        if model.classes != classes:
            raise ModelError(f"{model.name} tells {model.classes} classes apart; {dataset.name} has {classes}.")
        built = model
    else:
        built = _built(model, images.shape, classes, options)
    fitted = _fitted(images, built.input_shape)
    height, width, _ = built.input_shape
    resized = "" if images.shape[:2] == built.input_shape[:2] else f", resized to {height}×{width}"
    return built, fitted, f"{len(images)} training images of {dataset.name}{resized}"


def _built(name: str, shape: Shape, classes: int, options: Mapping[str, Any]) -> Model:
    """The named architecture for images of a shape or, where it does not fit that, of the size that it is made for."""
    usual, _ = models.default_shape(name)
    try:
        return models.build(name, shape, classes, options)
    except ModelError:
        if shape[:2] == usual[:2]:
            raise
        return models.build(name, (*usual[:2], shape[2]), classes, options)


def _fitted(images: Images, shape: Shape) -> Images:
    """The images in the size and with the channels of `shape` (H, W, C)."""
    height, width, channels = shape
    plain = Preparation((height, width, channels), "none", np.ones((channels, 1, 1)), np.zeros((channels, 1, 1)))
    return plain.apply(images)


def random_images(shape: Shape, classes: int, n: int, seed: int) -> Images:
    """n images (H, W, C) of random pixels, with random labels."""
    draw = generator(seed, "parity", "images")
    pixels = draw.integers(0, 256, (n, *shape), dtype=np.uint8)
    names = tuple(f"class {k}" for k in range(classes))
    return Images(pixels, draw.integers(0, classes, n), np.arange(n).astype(str), names)
