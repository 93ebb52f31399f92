"""Keras 3 through `fit` and `predict`, on the backend that KERAS_BACKEND names."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from benchmarks import trials
from benchmarks.cases import Case
from benchmarks.worker import Prepared
from firstlight import data, processes
from firstlight.types import Array, Images

keras.utils.set_random_seed(0)
TRIED = 160  # steps of an epoch in the trials before a whole `fit`


class Way(NamedTuple):
    """How the net is compiled and fed."""

    dataset: bool = False
    jit: bool | str = "auto"
    together: int = 1

    def shown(self) -> dict[str, Any]:
        feed = "tf.data" if self.dataset else "NumPy arrays"
        return {"fed with": feed, "jit_compile": self.jit, "steps_per_execution": self.together}


def prepare(case: Case) -> Prepared:
    """Start from Keras's defaults, try each option in turn, and keep what is faster."""
    keras.backend.clear_session()  # frees the case before
    x, y = case.floats()
    net = network(case.layers, case.shape)
    if case.predict:
        repeat, chosen = _predict(net, x)
        return Prepared(net.count_params(), repeat, chosen)
    few = trials.fewer(case, 2).images
    way, tried = choose(net, x[:few], y[:few], case.batch)
    repeat = _fit(net, x, y, case.batch, way)
    repeat(1)
    return Prepared(net.count_params(), repeat, way.shown() | {"ms a step in trials": tried})


def choose(net: keras.Model, x: Array, y: Array, batch: int) -> tuple[Way, dict[str, float]]:
    """The fastest way to fit, and the milliseconds that a step took each way.

    On JAX there is nothing to try: XLA compiles always, and steps are sent off without waiting.
    """
    if keras.backend.backend() != "tensorflow":
        return Way(), {}
    steps = len(x) // batch
    together = max(count for count in (1, 2, 4, 8, 16) if steps % count == 0)
    way, best, tried = Way(), math.inf, {}
    for change in ({}, {"together": together}, {"dataset": True}, {"jit": True}):
        other = way._replace(**change)
        took = trials.seconds(_fit(net, x, y, batch, other)) / steps * 1e3
        tried[", ".join(map(str, other.shown().values()))] = round(took, 3)
        if took < best:
            way, best = other, took
    return way, tried


def network(layers: tuple[dict[str, Any], ...], shape: tuple[int, ...]) -> keras.Model:
    """The same net in Keras's own layers."""
    return keras.Sequential([keras.Input(shape), *map(_layer, layers)])


def _layer(layer: dict[str, Any]) -> keras.Layer:
    match layer["type"]:
        case "Conv2D":
            return keras.layers.Conv2D(layer["filters"], layer.get("kernel", 3), padding=layer.get("padding", "valid"))
        case "Dense":
            return keras.layers.Dense(layer["units"])
        case "BatchNorm":
            return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
        case "MaxPool2D":
            return keras.layers.MaxPooling2D(layer.get("size", 2))
        case "Dropout":
            return keras.layers.Dropout(layer["rate"])
        case "Flatten":
            return keras.layers.Flatten()
        case "ReLU" | "SELU":
            return keras.layers.Activation(layer["type"].lower())
        case other:
            raise ValueError(f"This peer has no {other}.")


def _compile(net: keras.Model, way: Way) -> None:
    net.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=way.jit,
        steps_per_execution=way.together,
    )


def _feed(x: Array, y: Array, batch: int, way: Way, augment: bool = False) -> dict[str, Any]:
    """The arguments that `fit` takes its images from. Images are augmented on the way, on all cores."""
    if not way.dataset:
        return {"x": x, "y": y, "batch_size": batch}
    import tensorflow as tf

    resident = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x)).batch(batch)
    if augment:
        change = _augmentation()
        resident = resident.map(lambda x, y: (change(x, training=True), y), num_parallel_calls=processes.cores())
    return {"x": resident.prefetch(tf.data.AUTOTUNE)}


def _fit(net: keras.Model, x: Array, y: Array, batch: int, way: Way) -> Callable[[int], None]:
    _compile(net, way)
    feed = _feed(x, y, batch, way)

    def fit(epochs: int) -> None:
        net.fit(**feed, epochs=epochs, verbose=0)

    return fit


def _predict(net: keras.Model, x: Array) -> tuple[Callable[[int], None], dict[str, Any]]:
    """`predict` by batches of 32, which is Keras's own choice, of 1,024, and compiled by XLA."""

    def made(way: tuple[int, bool | str]) -> Callable[[int], None]:
        batch, jit = way
        _compile(net, Way(jit=jit))

        def predict(times: int) -> None:
            for _ in range(times):
                net.predict(x, batch_size=batch, verbose=0)

        return predict

    ways: list[tuple[int, bool | str]] = [(32, "auto"), (1024, "auto"), (1024, True)]
    batch, jit = trials.fastest(ways, made)
    repeat = made((batch, jit))
    repeat(1)
    return repeat, {"batch_size": batch, "jit_compile": jit}


def whole(
    source: str,
    layers: list[dict[str, Any]],
    epochs: int,
    batch: int,
    augment: bool = False,
    way: list[Any] | None = None,
) -> dict[str, Any]:
    """`fit` with validation, then `evaluate`, on the images and the split of a run of ours; seconds and accuracy.

    Reading the images, importing, and trying ways of fitting are not counted.

    augment  by a tf.data.Dataset, which was faster than by layers of the net
    way      the way that an earlier call chose
    """
    splits = data.split(data.load(source), validation=0.1, test=0.1, seed=0)
    train, validation, test = (_floats(splits[name]) for name in ("train", "validation", "test"))
    shape = splits["train"].shape
    few = TRIED * batch
    tried: dict[str, float] = {}
    if augment:
        chosen = Way(dataset=True)
    elif way:
        chosen = Way(*way)
    else:
        chosen, tried = choose(network(tuple(layers), shape), train[0][:few], train[1][:few], batch)
    net = network(tuple(layers), shape)
    _compile(net, chosen)
    began = time.perf_counter()
    net.fit(**_feed(*train, batch, chosen, augment), epochs=epochs, validation_data=validation, verbose=0)
    fitted = time.perf_counter()
    accuracy = net.evaluate(*test, verbose=0)[1]
    evaluated = time.perf_counter()
    return {
        "fit": fitted - began,
        "evaluate": evaluated - fitted,
        "accuracy": float(accuracy),
        "way": chosen,
        "chosen": chosen.shown() | {"ms a step in trials": tried},
        "parameters": net.count_params(),
    }


def _floats(images: Images) -> tuple[Array, Array]:
    return images.pixels.astype("float32") / 255, images.labels


def _augmentation() -> keras.Model:
    """Flip, turn by up to 5 degrees, and cut a patch out, as Keras's own layers do it."""
    return keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomRotation(5 / 360, fill_mode="constant"),
            keras.layers.RandomErasing(factor=0.5, scale=(0.02, 0.2), fill_value=0.0, value_range=(0, 1)),
        ]
    )


JOBS = {"whole": whole}
