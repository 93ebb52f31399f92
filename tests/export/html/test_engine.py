"""The page's net, run by Node, gives what the engine gives, for every layer, loss, preparation and kind of weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.export.exporting import architectures, build, engine_probabilities, images, nets, task_of, weights_of

from firstlight import losses
from firstlight.engines import Task
from firstlight.export.html.net import packed
from firstlight.export.inference_graph import operations_of
from firstlight.layers import Chain, Dense, Flatten
from firstlight.models import Model
from firstlight.types import Array

RUN = """(nets) => nets.map(([operations, weights, size, images]) => {
  const net = new Net(operations, weights, size);
  return images.map((image) => [...net.probabilities(image)]);
})"""
HEAVY = 10_000_000  # multiply-adds, above which an architecture is left to the slow test


Case = tuple[Task, Array]


def case(task: Task, below: float = 0.0) -> Case:
    """A task with weights; the last ones, which are biases, lie so far `below` that some outputs are negative."""
    vector = weights_of(task.model)
    if below:
        vector[-task.model.classes :] -= below
    return task, vector


def cases() -> dict[str, Case]:
    found = {name: case(task_of(model)) for name, model in nets()}
    for loss in losses.LOSSES.values():
        for units in (1, 2, 3) if loss is losses.BinaryCrossEntropy else (2, 3):
            model = Model("net", Chain((Flatten(), Dense(units))), (3, 4, 1), max(units, 2))
            found[f"{loss.__name__}-{units}"] = case(task_of(model, loss()), below=1.5)
    for kind in ("none", "pixel", "channel", "image", "imagenet"):
        found[kind] = case(task_of(Model("net", Chain((Flatten(), Dense(3))), (5, 4, 3), 3), standardise=kind))
    return found


def compare(cases: dict[str, Case], in_node: Callable[..., Any], count: int) -> None:
    given, wanted = [], {}
    for name, (task, vector) in cases.items():
        pixels = images(task.model.input_shape, count, seed=2).pixels
        operations, text = packed(operations_of(task, vector), half=False)
        given.append([operations, text, task.model.input_shape, pixels.reshape(count, -1).tolist()])
        wanted[name] = engine_probabilities(task, vector, pixels)
    found = in_node(RUN, given, "engine.js")
    for (name, expected), answers in zip(wanted.items(), found, strict=True):
        np.testing.assert_allclose(answers, expected, atol=2e-6, err_msg=name)


def test_every_layer_loss_and_preparation(in_node: Callable[..., Any]) -> None:
    compare(cases(), in_node, 8)


def test_every_small_architecture(in_node: Callable[..., Any]) -> None:
    small = {name: case(task_of(build(name))) for name in architectures() if build(name).multiply_adds < HEAVY}
    assert {"lenet5", "slim-cnn"} <= set(small)
    compare(small, in_node, 2)


@pytest.mark.slow
def test_every_large_architecture(in_node: Callable[..., Any]) -> None:
    large = [name for name in architectures() if HEAVY <= build(name).multiply_adds < 100 * HEAVY]
    for name in large:
        compare({name: case(task_of(build(name)))}, in_node, 1)


def test_weights_of_16_bits(in_node: Callable[..., Any]) -> None:
    every = np.arange(1 << 16, dtype="<u2")
    found = in_node(
        "(bits) => bits.map(fromFloat16).map((x) => (isFinite(x) ? x : String(x)))", every.tolist(), "engine.js"
    )
    with np.errstate(invalid="ignore"):
        expected = every.view("<f2").astype(float)
    np.testing.assert_array_equal(np.array(found, float), expected)


def test_the_normal_distribution(in_node: Callable[..., Any]) -> None:
    from scipy.special import ndtr

    x = np.linspace(-9, 9, 3001)
    found = in_node("(x) => x.map(normal)", x.tolist(), "engine.js")
    np.testing.assert_allclose(found, ndtr(x), atol=2e-9)
