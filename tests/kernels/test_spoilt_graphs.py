"""The comparison of graphs with layers rejects a graph that is spoilt, in whichever way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
from tests.graphs import Net, assert_equal, cut, index_of, run_compiled, run_eager

import firstlight.engines.executor as executor_module
from firstlight.engines import Task
from firstlight.kernels.graph import Correlation, Graph, Step
from firstlight.layers import (
    AvgPool2D,
    BatchNorm,
    Chain,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPool2D,
    ReLU,
    Residual,
    Tanh,
)
from firstlight.losses import CrossEntropy, MeanSquaredError

BROAD = Net(
    (
        *(
            Conv2D(4, 3, padding=((0, 2), (1, 0))),
            ReLU(),
            Conv2D(4, 3, padding="same", bias=False),
            BatchNorm(),
            ReLU(),
        ),
        *(Residual(Chain((Conv2D(4, 3, padding="same"), Tanh()))), Dropout(0.3), AvgPool2D(3, 2, 1)),
        *(Conv2D(5, 3, stride=2, padding=2), ReLU(), MaxPool2D(2), Flatten(), Dense(6), ReLU(), Dense(3)),
    ),
    (2, 9, 8),
    CrossEntropy(0.1),
    class_weights=(0.5, 2.0, 1.25),
    standardized=True,
)
SQUARED = replace(BROAD, loss=MeanSquaredError())


def _each(op: str, change: Callable[[Step], None], first: int = 0) -> Callable[[Graph], None]:
    """Change every step of that operation, from the `first` on."""

    def spoil(graph: Graph) -> None:
        found = [each for each in graph.steps if each.op == op][first:]
        assert found, op
        for each in found:
            change(each)

    return spoil


def _nothing(step: Step) -> None:
    step.op, step.fields = "CLEAR", [0, 0]


def _correlation(**changes: Callable[[Correlation], Any]) -> Callable[[Step], None]:
    def change(step: Step) -> None:
        if isinstance(step.fields[4], Correlation):
            step.fields[4] = replace(step.fields[4], **{name: f(step.fields[4]) for name, f in changes.items()})

    return change


def _put(at: int, value: Any) -> Callable[[Step], None]:
    def change(step: Step) -> None:
        step.fields[at] = value

    return change


def _swap(a: int, b: int) -> Callable[[Step], None]:
    def change(step: Step) -> None:
        step.fields[a], step.fields[b] = step.fields[b], step.fields[a]

    return change


def _unstrided(step: Step) -> None:
    step.fields[3] = replace(step.fields[3], stride=(1, 1))


SPOILT: dict[str, Callable[[Graph], None]] = {
    "padding on the wrong sides": _each("TILES", _correlation(start=lambda c: c.start[::-1])),
    "dx by the kernel as it is": _each("TILES", _correlation(flipped=lambda c: False)),
    "a bias without gradient": _each("BIAS_GRADIENT", _nothing),
    "a gradient through what was rectified": _each("RECTIFY_BACK", _nothing),
    "a gradient through what batch norm rectified": _each("NORMALIZE_SUMS", _put(7, 0)),
    "a gradient through what the pool rectified": _each("MAX_POOL_BACK", _put(14, 0)),
    "the largest of what is not rectified": _each("MAX_POOL", _put(14, 0)),
    "the gradients of a norm swapped": _each("NORMALIZE_SUMS", _swap(5, 6)),
    "x̂ forgotten in a norm's dx": _each("NORMALIZE_BACK", _nothing),
    "momentum and ε swapped": _each("NORMALIZE", _swap(9, 10)),
    "the way round a body left out": _each("ADD", _nothing, 1),
    "dropout forward alone": _each("DROP", _nothing, 1),
    "the mask of other pixels": _each("DROP", _put(3, 1)),
    "average and sum confused": _each("AVERAGE_POOL_BACK", _put(7, 2)),
    "dW of x not turned": _each("TRANSPOSE", _swap(0, 1)),
    "dW of the wrong stride": _each("DOTS", _unstrided),
    "labels not smoothed": _each("CROSS_ENTROPY", _put(3, 0)),
    "classes not weighted": _each("CROSS_ENTROPY", _put(4, -1)),
    "weights of other classes": _each("CROSS_ENTROPY", lambda step: step.fields.__setitem__(4, step.fields[4] - 1)),
    "images not standardized": _each("STANDARDISE", _nothing),
    "a part of the image standardized": _each("STANDARDISE", _put(1, 72)),
    "statistics not waited for": lambda graph: graph.barriers.remove(graph.barriers[0]),
    "gradients not waited for": lambda graph: graph.barriers.remove(graph.barriers[1]),
}


def test_a_sound_graph_of_the_same_net_is_accepted() -> None:
    with cut(2, threads=1):
        assert_equal(run_compiled(BROAD, index_of(33)), run_eager(BROAD, index_of(33)))


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_a_spoilt_graph_is_rejected(spoil: Callable[[Graph], None]) -> None:
    """With one thread for two workers, so that what is not waited for is not there."""
    _must_be_rejected(BROAD, spoil)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(_put(3, 0), id="another factor"),
        pytest.param(_put(4, -1), id="classes not weighted"),
        pytest.param(_swap(0, 1), id="outputs and gradients swapped"),
        pytest.param(_put(2, 2), id="a class left out"),
    ],
)
def test_a_spoilt_squared_error_is_rejected(spoil: Callable[[Step], None]) -> None:
    assert_equal(run_compiled(SQUARED, index_of(33)), run_eager(SQUARED, index_of(33)))
    _must_be_rejected(SQUARED, _each("SQUARED_ERROR", spoil))


def _must_be_rejected(net: Net, spoil: Callable[[Graph], None]) -> None:
    record = executor_module._record

    def spoilt(task: Task, training: bool) -> Graph:
        graph = record(task, training)
        if training:
            spoil(graph)
        return graph

    with mock.patch.object(executor_module, "_record", spoilt), cut(2, threads=1):
        found = run_compiled(net, index_of(33))
    with pytest.raises(AssertionError):
        assert_equal(found, run_eager(net, index_of(33)))
