"""What the suites on graphs share: a net with images to run, what comes of it, and when two of these are equal.

`EagerExecutor` with the reference kernels, a page of NumPy, goes layer by layer: the truth that a graph must meet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numba
import numpy as np
import pytest

from firstlight.engines.base import Task
from firstlight.engines.executor import CompiledExecutor, EagerExecutor, Executor
from firstlight.kernels import reference, runtime
from firstlight.kernels.ops import product
from firstlight.layers import (
    ELU,
    GELU,
    LAYERS,
    SELU,
    Chain,
    Conv2D,
    Dense,
    Example,
    Flatten,
    Layer,
    LeakyReLU,
    Mish,
    ReLU,
    Reshape,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from firstlight.losses import CrossEntropy, Loss
from firstlight.models import Model
from firstlight.optimizers import SGD
from firstlight.prepare import Preparation
from firstlight.types import Array

IMAGES = 90
BENT = (ReLU(), LeakyReLU(0.2), ELU(0.7), SELU(), Sigmoid(), Tanh(), GELU(), SiLU(), Mish())


@dataclass(frozen=True)
class Pictures:
    """As `Images`, of any number of channels."""

    pixels: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class Net:
    """Layers that end in a vector, for images (C, H, W), and how they are trained."""

    layers: tuple[Layer, ...]
    shape: tuple[int, int, int]
    loss: Loss = field(default_factory=CrossEntropy)
    frozen: tuple[str, ...] = ()
    running_stats: frozenset[str] = frozenset()
    seed: int = 0
    class_weights: tuple[float, ...] = ()
    standardized: bool = False

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """For Hypothesis, which would print the examples of every layer."""
        printer.text(repr(self))

    @property
    def task(self) -> Task:
        chain = Chain(self.layers)
        C, H, W = self.shape
        outputs = chain.output_shape(self.shape)[0]
        model = Model("drawn", chain, (H, W, C), outputs, frozen=self.frozen)
        # Each pixel in a way of its own, so that there are no ties.
        scale, shift = np.random.default_rng(self.seed + 1).uniform(0.5, 1.5, (2, *self.shape))
        preparation = Preparation((H, W, C), "image" if self.standardized else "none", scale / 100, shift - 2)
        weights = np.array(self.class_weights) if self.class_weights else None
        return Task(
            model,
            self.loss,
            preparation,
            SGD(),
            seed=self.seed,
            running_stats=self.running_stats,
            class_weights=weights,
        )

    def pictures(self, images: int = IMAGES) -> Any:
        rng = np.random.default_rng(self.seed + 2)
        C, H, W = self.shape
        classes = Chain(self.layers).output_shape(self.shape)[0]
        return Pictures(rng.integers(0, 256, (images, H, W, C), np.uint8), rng.integers(0, classes, images))

    def weights(self) -> Array:
        """Random weights of a size that keeps values near one, none of them at a special place such as 0 or 1.

        In float64, but such as float32 can hold.
        """
        rng = np.random.default_rng(self.seed + 3)
        layout = self.task.model.layout
        vector = np.empty(layout.size)
        for entry in layout.entries:
            parameter = entry.parameter
            draws = rng.uniform(0.5, 1.5, parameter.size) * rng.choice([-1, 1], parameter.size)
            if parameter.initializer == "ones":
                draws = np.abs(draws)
            elif parameter.initializer != "zeros":
                draws /= parameter.fan_in**0.5
            vector[entry.start : entry.stop] = draws.astype(np.float32)
        return vector


def around(example: Example) -> Net:
    """The example with something to train before it, to see its dx, and after it, to see its y."""
    shape: Any = example.input_shape if len(example.input_shape) == 3 else (*example.input_shape, 1, 1)
    bridge = () if shape == example.input_shape else (Reshape(example.input_shape),)
    front = Conv2D(shape[0], 1, name="front")
    return Net((front, *bridge, example.layer, Flatten(name="flat"), Dense(3, name="end")), shape)


RECORDED = [
    pytest.param(example, id=f"{name}-{i}")
    for name, layer in LAYERS.items()
    for i, example in enumerate(layer.examples)
    if layer is not Softmax
]


Results = dict[str, Array]


def index_of(images: int) -> Array:
    """So many of the images, in no order, some of them twice."""
    return np.random.default_rng(images).integers(0, IMAGES, images)


def step(executor: Executor, vector: Array, net: Net, index: Array, pictures: Pictures | None = None) -> Results:
    """What one step of training gives, and then the net in evaluation; `vector` is what the executor works on."""
    pictures = pictures or net.pictures()
    with np.errstate(all="ignore"):
        loss, correct, gradients = executor.gradients(pictures, index, 1, 2)  # type: ignore[arg-type]
        total = gradients.sum(axis=0)
        outputs = executor.outputs(pictures.pixels[index]).copy()
    found: Results = {"loss": np.array(loss), "right": np.array(correct), "outputs": outputs}
    for entry in net.task.model.layout.entries:
        if entry.parameter.trainable:
            found[f"gradient with respect to {entry.name}"] = total[entry.start : entry.stop]
        elif not entry.parameter.kernel:
            found[f"running {entry.name}"] = vector[entry.start : entry.stop].copy()
    return found


def run_compiled(net: Net, index: Array, dtype: Any = np.float64, weights: Array | None = None) -> Results:
    """The results of the graph."""
    vector = (net.weights() if weights is None else weights).astype(dtype)
    return step(CompiledExecutor(net.task, runtime.Runtime, vector), vector, net, index)


def run_eager(net: Net, index: Array, weights: Array | None = None) -> Results:
    """The results layer by layer with the reference kernels, in float64."""
    vector = (net.weights() if weights is None else weights).astype(np.float64)
    return step(EagerExecutor(net.task, reference, vector), vector, net, index)


def assert_equal(found: Results, expected: Results, tolerance: float = 1e-11, floor: float = 1e-3) -> None:
    """Each result within the tolerance of its largest number, gradients at least of `floor` times the largest of all.

    A gradient that is zero but for rounding, such as a bias's before batch norm, has no digits to compare.
    """
    assert found.keys() == expected.keys()
    largest = max((np.abs(v).max(initial=0) for k, v in expected.items() if k.startswith("gradient")), default=0)
    assert found["right"] == expected["right"], f"{found['right']} correct, not {expected['right']}"
    for name, truth in expected.items():
        assert found[name].shape == truth.shape, name
        if name == "right" or not truth.size:
            continue
        size = max(np.abs(truth).max(), floor * largest if name.startswith("gradient") else 0, 1e-12)
        error = np.abs(found[name] - truth).max() / size
        assert error <= tolerance, f"{name}: {error:.1e}"


@contextmanager
def cut(
    workers: int | None = None, cache: int | None = None, threads: int | None = None, split: int | None = None
) -> Iterator[None]:
    """With graphs cut for so many workers, and into chunks whose values take at most `cache` bytes.

    From `split` weights on, workers share out the rows of a product, for any number of images. Where there are more
    workers than threads, they take turns.
    """
    before = numba.get_num_threads()
    workers = before if workers is None else workers
    try:
        most: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
        numba.set_num_threads(min(threads or workers, most))
        with (
            mock.patch.object(runtime, "get_num_threads", return_value=workers),
            mock.patch.object(runtime, "CACHE", runtime.CACHE if cache is None else cache),
            mock.patch.object(product, "SPLIT", product.SPLIT if split is None else split),
            mock.patch.object(runtime, "PER_ROW", runtime.PER_ROW if split is None else 1 << 30),
        ):
            yield
    finally:
        numba.set_num_threads(before)
