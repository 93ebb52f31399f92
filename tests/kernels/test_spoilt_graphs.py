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
from firstlight.kernels.graph import Graph, Step
from firstlight.kernels.ops.concat import Clear
from firstlight.kernels.ops.convolution import Correlation
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


def _each(name: str, change: Callable[[Step], None], first: int = 0) -> Callable[[Graph], None]:
    """Change every step of that name, from the `first` on."""

    def spoil(graph: Graph) -> None:
        found = [each for each in graph.steps if each.name == name][first:]
        assert found, name
        for each in found:
            change(each)

    return spoil


def _without(name: str, first: int = 0) -> Callable[[Graph], None]:
    """Make nothing of every step of that name, from the `first` on."""

    def spoil(graph: Graph) -> None:
        found = [k for k, each in enumerate(graph.steps) if each.name == name][first:]
        assert found, name
        for k in found:
            nothing = Clear(next(graph.steps[k].values()), 0)
            nothing.path, nothing.backward = graph.steps[k].path, graph.steps[k].backward
            graph.steps[k] = nothing

    return spoil


def _correlation(**changes: Callable[[Correlation], Any]) -> Callable[[Step], None]:
    def change(step: Any) -> None:
        c = step.correlation
        step.correlation = replace(c, **{name: f(c) for name, f in changes.items()})

    return change


def _put(**values: Any) -> Callable[[Step], None]:
    def change(step: Step) -> None:
        for name, value in values.items():
            assert hasattr(step, name)
            setattr(step, name, value)

    return change


def _swap(a: str, b: str) -> Callable[[Step], None]:
    def change(step: Step) -> None:
        one, other = getattr(step, a), getattr(step, b)
        setattr(step, a, other)
        setattr(step, b, one)

    return change


SPOILT: dict[str, Callable[[Graph], None]] = {
    "padding on the wrong sides": _each("correlate", _correlation(start=lambda c: c.start[::-1])),
    "dx by the kernel as it is": _each("correlate", _correlation(flipped=lambda c: False)),
    "a bias without gradient": _without("bias_gradient"),
    "a gradient through what was rectified": _without("relu_back"),
    "a gradient through what batch norm rectified": _each("normalize_sums", _put(relu=False)),
    "a gradient through what the pool rectified": _each("max_pool_back", _put(relu=False)),
    "the largest of what is not rectified": _each("max_pool", _put(relu=False)),
    "the gradients of a norm swapped": _each("normalize_sums", _swap("dgamma", "dbeta")),
    "x̂ forgotten in a norm's dx": _without("normalize_back"),
    "momentum and ε swapped": _each("normalize", _swap("momentum", "epsilon")),
    "the way round a body left out": _without("add", 1),
    "dropout forward alone": _without("drop", 1),
    "the mask of other pixels": _each("drop", _put(mask=1)),
    "average and sum confused": _each("average_pool_back", _put(kh=2)),
    "dW of other rows": _each("product_gradient", _swap("O", "K")),
    "dW of the wrong stride": _each("kernel_gradient", _correlation(stride=lambda c: (1, 1))),
    "labels not smoothed": _each("cross_entropy", _put(smoothing=0.0)),
    "classes not weighted": _each("cross_entropy", _put(weighted=False)),
    "weights of other classes": lambda graph: setattr(graph, "class_weights", graph.class_weights[::-1]),
    "images not standardized": _without("standardize"),
    "a part of the image standardized": _each("standardize", _put(features=72)),
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
        pytest.param(_put(c=0.0), id="another factor"),
        pytest.param(_put(weighted=False), id="classes not weighted"),
        pytest.param(_swap("y", "dy"), id="outputs and gradients swapped"),
        pytest.param(_put(K=2), id="a class left out"),
    ],
)
def test_a_spoilt_squared_error_is_rejected(spoil: Callable[[Step], None]) -> None:
    assert_equal(run_compiled(SQUARED, index_of(33)), run_eager(SQUARED, index_of(33)))
    _must_be_rejected(SQUARED, _each("squared_error", spoil))


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
