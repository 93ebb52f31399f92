"""Graphs at the edges: what is frozen, how the work is cut, what is not finite, ties, and what was run before."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.graphs import BENT, RECORDED, Net, around, assert_equal, cut, index_of, run_compiled, run_eager, step

from firstlight.engines.executor import CompiledExecutor
from firstlight.errors import ModelError
from firstlight.kernels._vectors import VECTOR_BYTES
from firstlight.kernels.runtime import Runtime
from firstlight.layers import (
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Example,
    Flatten,
    Layer,
    MaxPool2D,
    ReLU,
    Reshape,
    Tanh,
)
from firstlight.losses import BinaryCrossEntropy, CrossEntropy, Loss, MeanSquaredError

FROZEN = Net(
    (Conv2D(3, 3, padding=1), Tanh(), BatchNorm(), ReLU(), Conv2D(4, 3, bias=False), Flatten(), Dense(3)), (2, 5, 5)
)


def test_every_choice_of_what_is_frozen() -> None:
    names = [entry.name for entry in FROZEN.task.model.layout.entries if entry.parameter.trainable]
    assert len(names) == 7
    for count in range(len(names) + 1):
        for frozen in itertools.combinations(names, count):
            net = replace(FROZEN, frozen=frozen)
            assert_equal(run_compiled(net, index_of(9)), run_eager(net, index_of(9)))


@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(0.1), BinaryCrossEntropy(), MeanSquaredError()], ids=str)
def test_class_weights(loss: Loss) -> None:
    plain = replace(FROZEN, loss=loss)
    net = replace(plain, class_weights=(0.5, 2.0, 1.25))
    with cut(3, cache=1):
        assert_equal(run_compiled(net, index_of(21)), run_eager(net, index_of(21)))
    for name, ones in run_compiled(replace(plain, class_weights=(1.0,) * 3), index_of(21), np.float32).items():
        assert (ones == run_compiled(plain, index_of(21), np.float32)[name]).all(), (
            f"{name}: weights of 1 change no bit"
        )
    with pytest.raises(AssertionError):
        assert_equal(run_compiled(net, index_of(21)), run_eager(plain, index_of(21)))


def test_no_gradient_is_worked_out_that_nobody_asks_for() -> None:
    def operations(*frozen: str) -> list[str]:
        task = replace(FROZEN, frozen=frozen).task
        steps = CompiledExecutor(task, Runtime, FROZEN.weights()).training.graph.steps
        return [step.name for step in steps[[step.name for step in steps].index("cross_entropy") + 1 :]]

    assert operations().count("correlate") == 2, "one for each dx"
    assert operations().count("kernel_gradient") == 2
    assert operations("conv1.*", "batchnorm1.*").count("correlate") == 1
    assert operations("*", "!dense1.*") == ["bias_gradient", "product_gradient"]
    assert operations("*", "!dense1.b") == ["bias_gradient"]
    assert operations("*") == []


def test_many_chunks_give_what_one_gives() -> None:
    """Where no batch norm waits for all images, a thread takes only as many at a time as its cache holds."""
    layers = (Conv2D(4, 3, padding=1), ReLU(), MaxPool2D(2), Dropout(0.3), Flatten(), Dense(5), Tanh(), Dense(3))
    net = Net(layers, (1, 6, 6))
    with cut(2, cache=1):
        executor = CompiledExecutor(net.task, Runtime, net.weights())
        assert executor.training.program(70).size == VECTOR_BYTES // 8, "a vector of float64"
        assert_equal(run_compiled(net, index_of(70)), run_eager(net, index_of(70)))
    with cut(2):
        assert CompiledExecutor(net.task, Runtime, net.weights()).training.program(70).size == 35
    running_stats = Net(
        (Conv2D(4), BatchNorm(), ReLU(), Flatten(), Dense(3)), (1, 6, 6), running_stats=frozenset({"batchnorm1"})
    )
    with cut(2, cache=1):
        assert_equal(run_compiled(running_stats, index_of(70)), run_eager(running_stats, index_of(70)))


def test_threads_may_change_between_steps() -> None:
    net = replace(FROZEN, loss=MeanSquaredError())
    vector = net.weights()
    executor = CompiledExecutor(net.task, Runtime, vector)
    for workers in (2, 1, 3, 5, 2):
        with cut(workers):
            for images in (64, 4, 1):
                vector[:] = net.weights()
                assert_equal(step(executor, vector, net, index_of(images)), run_eager(net, index_of(images)))


def test_one_value_a_channel_is_refused() -> None:
    net = Net((Flatten(), Dense(4), BatchNorm(), Dense(3)), (1, 3, 3))
    for results in (run_eager, run_compiled):
        with pytest.raises(ModelError, match="batchnorm1: one value per channel"):
            results(net, index_of(1))
    running_stats = replace(net, running_stats=frozenset({"batchnorm1"}))
    assert_equal(run_compiled(running_stats, index_of(1)), run_eager(running_stats, index_of(1)))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("pool", [MaxPool2D(2), MaxPool2D(3, 2, 1), AvgPool2D(2), Dropout(0.2), BatchNorm()])
@pytest.mark.parametrize("bent", BENT, ids=lambda layer: type(layer).__name__)
def test_nan_comes_through(bent: Layer, pool: Layer, kind: Any) -> None:
    net = Net((Conv2D(3, 3, padding=1), bent, pool, Conv2D(4, 3, padding=1), bent, Flatten(), Dense(3)), (1, 6, 6))
    weights = net.weights()
    weights[4] = np.nan  # in the middle of the first kernel, so that every pixel meets it
    for images in (1, 33):
        found = run_compiled(net, index_of(images), kind, weights)
        assert np.isnan(found["loss"])
        assert np.isnan(found["outputs"]).all()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_comes_through_wide_convolutions(bad: float, kind: Any) -> None:
    net = Net((Conv2D(16, 1), Conv2D(17, 3, padding=1), Flatten(), Dense(3)), (1, 6, 5))
    weights = net.weights()
    weights[2 * 16 + 4] = bad
    for images in (16, 64):
        found = run_compiled(net, index_of(images), kind, weights)
        assert not np.isfinite(found["loss"])
        assert not np.isfinite(found["outputs"]).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("example", RECORDED)
def test_what_is_not_finite_stays_so(example: Example, bad: float) -> None:
    net = around(example)
    weights = net.weights()
    weights[0] = bad
    found, expected = (results(net, index_of(21), weights=weights) for results in (run_compiled, run_eager))
    for name in ("outputs", "loss"):
        np.testing.assert_array_equal(np.isnan(found[name]), np.isnan(expected[name]))
        np.testing.assert_array_equal(np.isinf(found[name]), np.isinf(expected[name]))


@pytest.mark.parametrize("bent", [(), (ReLU(),)], ids=["", "rectified"])
@pytest.mark.parametrize("pool", [MaxPool2D(2), MaxPool2D(2, 1), MaxPool2D(3, 2, 1)], ids=["2", "overlapping", "3"])
def test_the_first_of_equals_wins(pool: MaxPool2D, bent: tuple[Layer, ...]) -> None:
    """Pixels with biases of their own and no other weights are equal where these are, and their gradients tell."""
    net = Net((Flatten(), Dense(42, name="pixels"), Reshape((1, 6, 7)), *bent, pool, Flatten(), Dense(3)), (1, 2, 2))
    entries = {entry.name: slice(entry.start, entry.stop) for entry in net.task.model.layout.entries}
    weights = net.weights()
    weights[entries["pixels.W"]] = 0
    for images in (3, 40):
        for seed in range(4):
            weights[entries["pixels.b"]] = np.random.default_rng(seed).integers(-1, 2, 42)
            assert_equal(
                run_compiled(net, index_of(images), weights=weights), run_eager(net, index_of(images), weights)
            )
        weights[entries["pixels.b"]] = 1.0
        met = (
            run_compiled(net, index_of(images), weights=weights)["gradient with respect to pixels.b"].reshape(6, 7) != 0
        )
        if pool.size == 2 and pool.stride is None:
            assert met[::2, :6:2].all()
            assert met.sum() == 9


def test_the_same_seed_gives_the_same_bits_whatever_was_run_before() -> None:
    net = Net(
        (Conv2D(5, 3, padding=1), BatchNorm(), ReLU(), MaxPool2D(2), Dropout(0.3), Flatten(), Dense(3)), (3, 7, 5)
    )
    weights = net.weights().astype(np.float32)
    vector = weights.copy()
    used, pictures = CompiledExecutor(net.task, Runtime, vector), net.pictures()
    for images in (5, 64):
        vector[:] = np.nan
        for before in (64, images, 5):
            step(used, vector, net, index_of(before), pictures)
        vector[:] = weights
        again = step(used, vector, net, index_of(images), pictures)
        fresh = weights.copy()
        first = step(CompiledExecutor(net.task, Runtime, fresh), fresh, net, index_of(images), pictures)
        for name, value in first.items():
            assert np.isfinite(value).all(), name
            np.testing.assert_array_equal(again[name], value, strict=True, err_msg=name)


@pytest.mark.parametrize("index", [[0, -1], [90, 0], [3, 91]])
def test_an_image_that_is_not_there_is_refused(index: list[int]) -> None:
    runtime = CompiledExecutor(FROZEN.task, Runtime, FROZEN.weights()).training
    pixels = FROZEN.pictures().pixels.reshape(90, -1)
    with pytest.raises(IndexError, match="of 90 images"):
        runtime.run(runtime.program(2), pixels, np.array(index), np.zeros(2, np.int64))


@pytest.mark.parametrize("label", [-1, FROZEN.task.model.classes])
def test_a_label_that_is_not_there_is_refused(label: int) -> None:
    images = FROZEN.pictures()
    wrong = replace(images, labels=np.where(np.arange(len(images)) == 7, label, images.labels))
    with pytest.raises(IndexError, match="labels from"):
        CompiledExecutor(FROZEN.task, Runtime, FROZEN.weights()).gradients(wrong, np.arange(8), 0, 0)
