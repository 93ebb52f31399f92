"""One image alone goes another way than a batch of them, and gives the same within the rounding of float32."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.graphs import RECORDED, Net, around, cut

from firstlight import models
from firstlight.engines.executor import CompiledExecutor
from firstlight.kernels._interpreter import address, run
from firstlight.kernels.operation import Cut
from firstlight.kernels.ops.max_pool import MaxPoolOfOne
from firstlight.kernels.ops.product import ProductOfOne
from firstlight.kernels.runtime import Program, Runtime
from firstlight.layers import Conv2D, Dense, Example, Flatten, MaxPool2D, ReLU
from firstlight.types import Array

quick = settings(max_examples=40, deadline=None, derandomize=True)
BATCH = 32  # whole vectors of images

DEEP = {"vgg16", "resnet18"}
# More blocks of the kinds that these or smaller nets have; the products and pools that they end in are drawn below.
REPEATED = re.compile(r"vgg19|resnet(34|50|\d+v2)|densenet.*")
NETS = [
    pytest.param(name, marks=[pytest.mark.slow] if name in DEEP else [], id=name)
    for name in models.ARCHITECTURES
    if not REPEATED.fullmatch(name)
]


def executor_of(net: Net, weights: Array | None = None, kind: Any = np.float32) -> CompiledExecutor:
    return CompiledExecutor(net.task, Runtime, (net.weights() if weights is None else weights).astype(kind))


def operations(program: Program, kind: Any = np.float32) -> set[str]:
    """The names of the operations of one image alone that a program has."""
    names = {address(step, np.dtype(kind)): step.name for step in (ProductOfOne, MaxPoolOfOne)}
    return {names[row] for row in program.ops[..., 0].ravel().tolist() if row in names}


def assert_near(found: Array, expected: Array, kind: Any = np.float32) -> None:
    """Within the rounding of sums in another order, by the largest output."""
    tolerance = 2e-5 if kind == np.float32 else 1e-12
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(1.0, float(np.abs(expected).max())))


def assert_the_same_alone(net: Net, kind: Any = np.float32, weights: Array | None = None) -> None:
    """Each of some images gives alone what it gives in a batch, and in a batch of a few."""
    executor, pixels = executor_of(net, weights, kind), net.pictures().pixels[:BATCH]
    together = executor.outputs(pixels).copy()
    assert not operations(executor.evaluation.program(BATCH), kind)
    for first, images in ((0, 1), (7, 1), (3, 2), (9, 3), (1, 9)):
        found = executor.outputs(pixels[first : first + images])
        assert_near(found, together[:, first : first + images], kind)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("example", RECORDED)
def test_each_layer(example: Example, kind: Any) -> None:
    assert_the_same_alone(around(example), kind)


@pytest.mark.parametrize("name", NETS)
def test_each_architecture(name: str) -> None:
    model = models.build(name, *models.default_shape(name))
    assert_the_same_alone(Net(model.layers.layers, model.channels_first))


@quick
@given(
    K=st.integers(1, 70),
    units=st.integers(1, 30),
    window=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    size=st.tuples(st.integers(6, 20), st.integers(6, 20)),
    rectified=st.booleans(),
)
def test_products_and_windows_of_all_sizes(
    K: int, units: int, window: int, stride: int, padding: int, size: tuple[int, int], rectified: bool
) -> None:
    relu = (ReLU(),) if rectified else ()
    pool = MaxPool2D(window, stride, min(padding, window - 1))
    layers = (Conv2D(3, 3), *relu, pool, Flatten(), Dense(K), *relu, Dense(units, bias=rectified), Dense(3))
    assert_the_same_alone(Net(layers, (2, *size)), np.float64)


SMALL = Net((Conv2D(4, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(9), ReLU(), Dense(3)), (1, 12, 12))


def test_the_comparison_rejects_a_wrong_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A product without its bias."""
    whole = Runtime._steps

    def spoilt(runtime: Runtime, cut: Cut) -> Any:
        steps = whole(runtime, cut)
        for step in steps:
            if isinstance(step, ProductOfOne):
                step.b = -1
        return steps

    assert_the_same_alone(SMALL)
    monkeypatch.setattr(Runtime, "_steps", spoilt)
    with pytest.raises(AssertionError, match="Not equal"):
        assert_the_same_alone(SMALL)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_so(bad: float) -> None:
    weights = SMALL.weights()
    for at in (0, 45, -1):  # of the convolution, of the dense layer, of the last bias
        spoilt = weights.copy()
        spoilt[at] = bad
        executor, pixels = executor_of(SMALL, spoilt), SMALL.pictures().pixels[:BATCH]
        together = executor.outputs(pixels)[:, :1].copy()
        np.testing.assert_array_equal(np.isnan(executor.outputs(pixels[:1])), np.isnan(together))
        np.testing.assert_array_equal(np.isinf(executor.outputs(pixels[:1])), np.isinf(together))


def test_training_and_whole_vectors_go_the_usual_way() -> None:
    executor = executor_of(SMALL)
    assert operations(executor.evaluation.program(1)) == {"product_of_one", "max_pool_of_one"}
    assert not operations(executor.training.program(1))
    with cut(2):
        assert executor.evaluation.program(3).size == 1, "one after another, as a vector would be mostly empty"
        assert executor.evaluation.program(BATCH).size == BATCH // 2


def test_a_small_net_wakes_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for one image nor for two; for many it does, and for two so does a net that takes longer."""
    calls: list[bool] = []

    def watched(*arguments: Any, alone: bool = False) -> None:
        calls.append(alone)
        run(*arguments, alone=alone)

    monkeypatch.setattr("firstlight.kernels.runtime.run", watched)
    executor, pixels = executor_of(SMALL), SMALL.pictures().pixels
    for images in (1, 2, 90):
        executor.outputs(pixels[:images])
    large = Net((Conv2D(64, 3, padding=1), Conv2D(64, 3, padding=1), Flatten(), Dense(3)), (3, 16, 16))
    executor_of(large).outputs(large.pictures().pixels[:2])
    assert calls == [True, True, False, False]


def test_the_answer_depends_on_no_number_of_threads_and_on_nothing_before() -> None:
    executor, pixels = executor_of(SMALL), SMALL.pictures().pixels
    first = executor.outputs(pixels[:1]).copy()
    for workers in (1, 2, 3):
        with cut(workers):
            executor.outputs(pixels[3:60])
            executor.outputs(pixels[5:6])
            np.testing.assert_array_equal(executor.outputs(pixels[:1]), first, strict=True)


def test_new_weights_count_at_once() -> None:
    vector = SMALL.weights().astype(np.float32)
    executor, pixels = CompiledExecutor(SMALL.task, Runtime, vector), SMALL.pictures().pixels[:1]
    executor.outputs(pixels)
    vector *= 0.5
    np.testing.assert_array_equal(executor.outputs(pixels), executor_of(SMALL, vector).outputs(pixels))


@pytest.mark.parametrize("spoilt", [np.s_[:, :11], np.s_[:, :1, :1]])
def test_images_of_another_size_are_refused(spoilt: Any) -> None:
    for images in (1, 40):
        pixels = SMALL.pictures().pixels[:images]
        with pytest.raises(ValueError, match="144 bytes are read"):
            executor_of(SMALL).outputs(pixels[spoilt])
        with pytest.raises(ValueError, match="float32"):
            executor_of(SMALL).outputs(pixels.astype(np.float32))
