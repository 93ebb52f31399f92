"""Layer by layer: each layer of a net beside its twin, at the very input that it has there, so that a fault is named.

One pass goes through the net with a probe about each layer. The probe compares, at the layer's input x and for a random
gradient v by its output, y, dx = (∂y/∂x)ᵀ v and the gradients with respect to its parameters: by hand, by autograd, and
by central differences of ⟨v, y⟩. Not for the gradient that comes from the loss, which may be zero where the layer is at
fault, as its sum over the batch is before a batch norm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from firstlight import randomness
from firstlight.engine_parity.differences import compare, largest, relative_difference
from firstlight.kernels import Kernels
from firstlight.layers import Layer, Pass, Tree, join
from firstlight.layers.container import Container
from firstlight.losses import Loss
from firstlight.records.parity import Comparison, LayerRow, LossRow
from firstlight.types import Array

STEP = 2e-3  # the first of the differences, beside the size of the numbers that are moved
TOLERANCE = 1e-10  # at which an uncertainty is small enough

Observe = Callable[[str, Layer, Tree, Array, Pass], None]


@dataclass(frozen=True)
class Probe(Layer):
    """A layer that shows `observe` what comes to it. `inner` is the layer `plain` with probes about its children."""

    plain: Layer
    inner: Layer
    observe: Observe = field(compare=False)

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Any]:
        passed = self.inner.forward(p, x, run)
        self.observe(run.path, self.plain, p, x, run)
        return passed


def probed(layer: Layer, observe: Observe, name: str = "") -> Probe:
    """`layer`, and all layers that it is made of, with probes about them, called as they were."""
    inner = layer
    if isinstance(layer, Container):
        names = iter([name for name, _ in layer.named()])

        def within(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(within(item) for item in value)
            return probed(value, observe, next(names)) if isinstance(value, Layer) else value

        inner = replace(layer, **{entry.name: within(getattr(layer, entry.name)) for entry in fields(layer)})
    return Probe(layer, inner, observe, name=name)


def compare_layers(layers: Layer, p: Tree, x: Array, kernels: Kernels, seed: int) -> list[LayerRow]:
    """A row for each layer of a net, in training and in evaluation, of which the worse counts."""
    rows: dict[str, LayerRow] = {}

    def noise(path: str) -> np.random.Generator:
        return randomness.generator(seed, "noise", path)

    def observe(path: str, layer: Layer, p: Tree, x: Array, run: Pass) -> None:
        row = _compare(path, layer, p, x, run, randomness.generator(seed, "parity", path, run.training))
        rows[path] = _worst(rows[path], row) if path in rows else row

    for training in (True, False):
        probed(layers, observe).forward(_copied(p), x, Pass(kernels, training, noise=noise))
    return list(rows.values())


def compare_loss(loss: Loss, y: Array, targets: Array, seed: int) -> LossRow:
    """The loss beside its twin at the net's outputs y (K, N): value, and gradient three ways."""
    from firstlight.engines import autograd

    value, dy = loss.value_and_gradient(y, targets)
    values, twin_dy = autograd.of_loss(loss, y, targets)
    by_hand, n = loss.values(y, targets), y.shape[1]
    comparison = compare(
        lambda moved: loss.values(moved, targets),
        np.full(n, 1 / n),
        y,
        dy,
        twin_dy,
        largest(dy, twin_dy),
        randomness.generator(seed, "parity", "loss"),
        step=STEP,
        tolerance=TOLERANCE,
    )
    mean = relative_difference(np.array([value]), values.mean(keepdims=True))
    return LossRow(loss.name, max(relative_difference(by_hand, values), mean), comparison)


def _compare(path: str, layer: Layer, p: Tree, x: Array, run: Pass, generator: np.random.Generator) -> LayerRow:
    """The row of one layer."""
    from firstlight.engines import autograd

    if not isinstance(layer, Container):
        x = perturbed(x, generator)
    after = _copied(p)
    y, backward = layer.forward(after, x, run)
    v = generator.standard_normal(y.shape)
    dx, tree = backward(v)
    twin = autograd.of_layer(layer, p, x, v, training=run.training, path=path, noise=run.noise)
    gradients, arrays, statistics = dict(named_arrays(tree)), dict(named_arrays(p)), dict(named_arrays(after))
    scale = largest(v, dx, *gradients.values(), twin.dx, *twin.gradients.values())

    def compared(f: Callable[[Array], Array], at: Array, by_hand: Array | None, by_autograd: Array) -> Comparison:
        if isinstance(layer, Container):  # what it is made of is differenced by itself
            return Comparison(relative_difference(by_hand, by_autograd, scale))
        return compare(f, v, at, by_hand, by_autograd, scale, generator, step=STEP, tolerance=TOLERANCE)

    def output(name: str) -> Callable[[Array], Array]:
        return lambda value: layer.forward({**_copied(p), name: value}, x, run)[0]

    return LayerRow(
        path=path,
        type=type(layer).__name__,
        container=isinstance(layer, Container),
        y=relative_difference(y, twin.y),
        statistics=max(
            (relative_difference(statistics[name], array) for name, array in twin.statistics.items()), default=0.0
        ),
        dx=compared(lambda moved: layer.forward(_copied(p), moved, run)[0], x, dx, twin.dx),
        parameters={
            name: compared(output(name), arrays[name], gradients.get(name), by_autograd)
            for name, by_autograd in twin.gradients.items()
        },
    )


def perturbed(x: Array, generator: np.random.Generator) -> Array:
    """x moved a little: the zeros of a ReLU and the ties of a blank image lie where a function has kinks."""
    size = math.sqrt(float(np.square(x).mean())) or 1.0
    return x + 0.1 * size * generator.standard_normal(x.shape)


def _worst(a: LayerRow, b: LayerRow) -> LayerRow:
    return replace(
        a,
        y=max(a.y, b.y),
        statistics=max(a.statistics, b.statistics),
        dx=a.dx.worse(b.dx),
        parameters={name: comparison.worse(b.parameters[name]) for name, comparison in a.parameters.items()},
    )


def named_arrays(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """The arrays of a tree by their paths in it, as in "conv1.W"."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from named_arrays(value, join(path, name))
        else:
            yield join(path, name), value


def _copied(tree: Tree) -> dict[str, Any]:
    """A copy of the arrays: batch norm writes its running statistics."""
    return {name: _copied(value) if isinstance(value, Mapping) else value.copy() for name, value in tree.items()}
