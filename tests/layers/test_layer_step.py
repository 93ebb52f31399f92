"""How each number of a layer came about: for every example of every layer, the terms make the layer's own number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from firstlight.checks import gradients as g
from firstlight.formulas import mathml
from firstlight.layers import (
    LAYERS,
    BatchNorm,
    Chain,
    Example,
    GroupNorm,
    Layer,
    LayerNorm,
    Pass,
)
from firstlight.layers.container import Container
from firstlight.layers.layer_step import LayerStep, general
from firstlight.types import Array, Shape

EXAMPLES = [
    pytest.param(example, id=f"{name}-{number}")
    for name, layer in LAYERS.ours().items()
    for number, example in enumerate(layer.examples)
]
PLACES = 4  # of each array that are tried; the first and the last are among them


def layer_step(layer: Layer, shape: Shape, *, training: bool = True, smooth: bool = True, n: int = 3) -> LayerStep:
    """A layer in a step with random numbers, float32; of a container, its children too."""
    draw = np.random.default_rng(5)
    x = g.inputs(shape, n, draw, smooth=smooth).astype(np.float32)
    p = g.parameters(layer, shape, draw, np.float32)
    dy = draw.standard_normal((*layer.output_shape(shape), n)).astype(np.float32)
    return stepped(layer, p, x, dy, g.a_pass(training=training))


def stepped(layer: Layer, p: Mapping[str, Any], x: Array, dy: Array, run: Pass, path: str = "") -> LayerStep:
    watched: dict[str, Any] = {}

    def watch(path: str, y: Array, backward: Any) -> tuple[Array, Any]:
        watched[path] = seen = {"y": y}

        def told(dy: Array) -> Any:
            seen["dy"] = dy
            seen["dx"], seen["gradients"] = result = backward(dy)
            return result

        return y, told

    y, backward = layer.forward(g.copied(p), x, replace(run, watch=watch))
    dx, gradients = backward(dy)
    assert dx is not None
    inner = {}
    if isinstance(layer, Container):
        source = x
        for name, child in layer.named():
            seen = watched[name]
            inner[name] = LayerStep(name, child, "", p.get(name, {}), source, **seen, run=run)
            source = seen["y"] if isinstance(layer, Chain) else x
    return LayerStep(path, layer, "", p, x, y, dy, dx, gradients, run, inner)


def places(array: Array) -> Iterator[tuple[int, ...]]:
    chosen = {0, array.size - 1, *np.random.default_rng(1).integers(0, array.size, PLACES - 2).tolist()}
    return (tuple(map(int, np.unravel_index(i, array.shape))) for i in sorted(chosen))


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("example", EXAMPLES)
def test_the_terms_make_the_number(example: Example, training: bool) -> None:
    step = layer_step(example.layer, example.input_shape, training=training, smooth=example.smooth)
    for of, array in step.arrays.items():
        for index in places(array):
            made = step.working(of, index)
            assert made.value == array[index]
            assert made.agrees, (of, index, made.to_json())
            assert made.rounding <= 2e-4 * (np.abs(array).max() + np.abs(step.dy).max()), (of, index)
            assert made.to_json()["agrees"] is True
        assert all(mathml(line.formula) for line in made.lines)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_rule_for_any_layer_makes_the_same_number(example: Example) -> None:
    if isinstance(example.layer, Container):
        pytest.skip("its parameters are its children's")
    step = layer_step(example.layer, example.input_shape, smooth=example.smooth)
    for of, array in step.arrays.items():
        index = next(places(array))
        made = general(step, of, index)
        assert made.difference <= made.rounding + 1e-6 * np.abs(step.dy).max(), (of, index)  # it may round inside


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_spoilt_number_is_seen_to_disagree(example: Example) -> None:
    step = layer_step(example.layer, example.input_shape, smooth=example.smooth)
    for of, array in step.arrays.items():
        index = np.unravel_index(np.abs(array).argmax(), array.shape)
        made = step.working(of, tuple(map(int, index)))
        assert not made.against(made.value * 1.03 + 1e-3).agrees, of


@pytest.mark.parametrize("layer", [BatchNorm(), GroupNorm(2), LayerNorm()])
def test_a_spread_of_none_is_rounding_times_a_large_factor(layer: Layer) -> None:
    """Of equal numbers x̂ is zero but for rounding, which s = 1 / √ε makes 300 times as large: no wrong gradient."""
    one = layer_step(layer, (4, 3, 3))
    flat = np.broadcast_to(
        np.array([0.3, 0.7, 1.1], np.float32), one.x.shape
    ).copy()  # an image is of one value throughout
    step = stepped(layer, one.p, flat, one.dy, one.run)
    for of, array in step.arrays.items():
        for index in np.ndindex(array.shape):
            assert step.working(of, index).agrees, (of, index)
