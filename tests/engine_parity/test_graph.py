"""An operation of the compiled graph that is wrong is found and named, while the closures of the layers stay right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
from numba.core.caching import NullCache
from tests.graphs import Net
from tests.kernels.test_spoilt_graphs import BROAD, SPOILT
from tests.test_parity import ALL_LAYERS, check, hasten

from firstlight import kernels, losses
from firstlight.engine_parity.check import random_images
from firstlight.engine_parity.graph import compare_graph
from firstlight.engines import Task, executor
from firstlight.kernels import _jit
from firstlight.kernels._interpreter import view
from firstlight.kernels.graph import Graph
from firstlight.kernels.ops.activation import FORMULAS
from firstlight.layers import Chain, Conv2D, Dense, Flatten, MaxPool2D, ReLU, Softmax
from firstlight.models import Model
from firstlight.records.parity import GRADIENT, CompiledGraph

NET = replace(BROAD, shape=(3, 9, 8), class_weights=(), standardized=False)
SMALL = Model("small", Chain((Conv2D(3), ReLU(), MaxPool2D(2), Flatten(), Dense(6), ReLU(), Dense(4))), (8, 8, 1), 4)


def compared(net: Net) -> CompiledGraph:
    task = net.task
    images = random_images(task.model.input_shape, task.model.classes, 8, seed=0)
    found = compare_graph(task, images, net.weights(), kernels.load("compiled"))
    assert found is not None
    return found


def spoilt(spoil: Callable[[Graph], None]) -> Any:
    """Every graph that is recorded for training is spoilt."""
    record = executor._record

    def recorded(task: Task, training: bool) -> Graph:
        graph = record(task, training)
        if training:
            spoil(graph)
        return graph

    return mock.patch.object(executor, "_record", recorded)


SOUND = {
    "broad": NET,
    "running statistics": replace(NET, running_stats=frozenset({"batchnorm1"})),
    "all layers": Net(tuple(layer for layer in ALL_LAYERS.layers.layers if not isinstance(layer, Softmax)), (3, 8, 8)),
}


@pytest.mark.parametrize("net", SOUND.values(), ids=SOUND.keys())
def test_a_sound_graph_gives_what_the_closures_give(net: Net) -> None:
    found = compared(net)
    assert found.fault is None
    assert 0 < found.worst < GRADIENT
    trained = {entry.name for entry in net.task.model.layout.entries if entry.parameter.trainable}
    assert found.gradients.keys() == trained
    assert max(found.gradients.values()) <= found.worst


@pytest.mark.parametrize("name", losses.LOSSES)
def test_every_loss_gives_the_gradient_that_it_gives_the_closures(name: str) -> None:
    found = compared(Net((Flatten(), Dense(4), ReLU(), Dense(3)), (1, 4, 4), losses.loss(name)))
    assert found.fault is None


@pytest.mark.parametrize(
    ("name", "operation", "layer"),
    [
        ("padding on the wrong sides", "correlate", "conv1"),
        ("dx by the kernel as it is", "correlate", "conv3"),
        ("dW of the wrong stride", "kernel_gradient", "conv3"),
        ("dW of other rows", "product_gradient", "dense2"),
        ("a gradient through what batch norm rectified", "normalize_sums", "batchnorm1"),
        ("a gradient through what the pool rectified", "max_pool_back", "maxpool1"),
        ("the largest of what is not rectified", "max_pool", "maxpool1"),
        ("momentum and ε swapped", "normalize", "batchnorm1"),
        ("the mask of other pixels", "drop", "dropout1"),
        ("average and sum confused", "average_pool_back", "avgpool1"),
        ("labels not smoothed", "cross_entropy", "the loss"),
        ("a bias without gradient", "clear", "conv1"),
    ],
)
def test_a_spoilt_operation_is_named(name: str, operation: str, layer: str) -> None:
    with spoilt(SPOILT[name]):
        fault = compared(NET).fault
    assert fault is not None
    assert (operation, layer) in zip(fault.operations, fault.layers, strict=True)
    assert len(fault.operations) <= 2
    assert fault.difference > 1e-3


@pytest.fixture
def half_a_gradient() -> Iterator[None]:
    """The step `relu_back` halves what it passes on."""

    def halved(op: Any, n: Any, n0: Any, chunk: Any, frame: Any, like: Any) -> None:
        arena = view(frame.arena, like)
        for i in range(op.features * n):
            arena[op.dy + i] *= 0.5 if arena[op.y + i] > 0 else 0.0

    with (
        mock.patch.object(FORMULAS["relu"].backward, "loops", staticmethod(halved)),
        mock.patch.object(_jit, "Cache", return_value=NullCache()),
        pytest.MonkeyPatch.context() as patch,
    ):
        hasten(patch)
        yield


def test_the_check_fails_by_an_operation_that_is_compiled_wrong(half_a_gradient: None) -> None:
    found = check(SMALL, kernels="compiled")
    assert not found.passed
    assert "relu_back of relu2" in found.failures[0]
    assert found.failures[0] in found.verdict
    assert [fault for row in found.layers for fault in row.faults()] == [], "the closures are right"
    assert all(row.gradient.hand_autograd < GRADIENT for row in found.parameters)
    record = found.to_json()
    assert record["graph"]["fault"]["operations"] == ["relu_back"]


def test_a_net_that_no_graph_can_hold_is_told() -> None:
    net = Net((Flatten(), Dense(4), Softmax(), Dense(3)), (1, 4, 4))
    assert compared(net) == CompiledGraph(not_compiled="softmax1 (Softmax)")
    images = random_images((4, 4, 1), 3, 8, seed=0)
    assert compare_graph(net.task, images, net.weights(), kernels.load("reference")) is None
