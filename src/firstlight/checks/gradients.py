"""The gradient checker: derivatives by hand against central differences, in float64, with random cotangents.

For f and its pullback v ↦ Jᵀv it compares, along random directions u and for random cotangents v,

    (⟨v, f(x + εu)⟩ − ⟨v, f(x − εu)⟩) / 2ε   with   ⟨Jᵀv, u⟩

Never with v = 1 alone, that is through a sum: the gradient of Σ softmax(x) is zero, so a lost one would pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from firstlight import randomness
from firstlight.checks.demand import DemandError
from firstlight.kernels import load
from firstlight.layers import Layer, Parameter, Pass
from firstlight.types import Array, Shape

STEP = 1e-5
TOLERANCE = 1e-6
DIRECTIONS = 4


@dataclass(frozen=True)
class GradientCheck:
    """The gradient with respect to x: along some directions by central differences, and by hand from the pullback.

    what        names x in the message
    directions  u, one by one
    pulled      Jᵀv, for a v of each direction
    numeric     ⟨v, f(x + εu) − f(x − εu)⟩ / 2ε
    rounding    what these may be wrong by
    """

    what: str
    directions: list[Array]
    pulled: list[Array]
    numeric: list[float]
    rounding: float

    def verify(self, tamper: Callable[[Array], Array] = lambda pulled: pulled) -> None:
        """Raise DemandError unless they agree; `tamper` changes what the pullback gave."""
        by_hand = [float(np.vdot(tamper(pulled), u)) for pulled, u in zip(self.pulled, self.directions, strict=True)]
        error = np.linalg.norm(np.subtract(self.numeric, by_hand))
        size = max(np.linalg.norm(self.numeric), np.linalg.norm(by_hand))
        if not error <= TOLERANCE * size + self.rounding:
            central, hand = (", ".join(f"{value:.9g}" for value in each) for each in (self.numeric, by_hand))
            raise DemandError(
                f"gradient with respect to {self.what}", f"{central} by central differences", f"{hand} by hand"
            )


def differences(
    function: Callable[[Array], Array],
    pullback: Callable[[Array], Array],
    x: Array,
    generator: np.random.Generator,
    what: str = "x",
) -> GradientCheck:
    """What `function` does around `x`, and what `pullback` says of it."""
    y = np.asarray(function(x))
    directions, pulled, numeric, rounding = [], [], [], []
    for _ in range(DIRECTIONS):
        u, v = generator.standard_normal(x.shape), generator.standard_normal(y.shape)
        difference = np.asarray(function(x + STEP * u)) - np.asarray(function(x - STEP * u))
        directions.append(u)
        pulled.append(pullback(frozen(v)))
        numeric.append(float(np.vdot(v, difference) / (2 * STEP)))
        rounding.append(1e-14 * np.linalg.norm(v) * np.linalg.norm(y) / STEP)
    return GradientCheck(what, directions, pulled, numeric, float(np.linalg.norm(rounding)))


def check(
    function: Callable[[Array], Array],
    pullback: Callable[[Array], Array],
    x: Array,
    generator: np.random.Generator,
    what: str = "x",
) -> None:
    """Raise DemandError unless `pullback` is that of `function` at `x`."""
    differences(function, pullback, x, generator, what).verify()


def of_layer(
    layer: Layer, p: Mapping[str, Any], x: Array, generator: np.random.Generator, *, training: bool
) -> Iterator[GradientCheck]:
    """The gradient with respect to x and then to each parameter, each on its own."""
    run = a_pass(training=training)

    def output(p: Mapping[str, Any], x: Array) -> Array:
        return layer.forward(copied(p), frozen(x), run)[0]

    def backward(dy: Array) -> tuple[Array | None, Mapping[str, Any]]:
        return layer.forward(copied(p), frozen(x), run)[1](dy)

    def dx(dy: Array) -> Array:
        result = backward(dy)[0]
        shape = None if result is None else result.shape
        if result is None or shape != x.shape:
            raise DemandError("gradient with respect to x", f"the shape {x.shape}, as x has it", shape)
        return result

    yield differences(lambda x: output(p, x), dx, x, generator)
    for path, _ in leaves(trained(layer, x)):

        def with_leaf(w: Array, path: tuple[str, ...] = path) -> Array:
            return output(replaced(p, path, w), x)

        def leaf_gradient(dy: Array, path: tuple[str, ...] = path) -> Array:
            return leaf(backward(dy)[1], path)

        yield differences(with_leaf, leaf_gradient, leaf(p, path), generator, ".".join(path))


def trained(layer: Layer, x: Array) -> Mapping[str, Any]:
    """The parameters that backward must give gradients for."""

    def trainable(tree: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            name: value if isinstance(value, Parameter) else trainable(value)
            for name, value in tree.items()
            if not isinstance(value, Parameter) or value.trainable
        }

    return trainable(layer.parameters(x.shape[:-1]))


def a_pass(*, training: bool, needs_dx: bool = True, seed: int = 0) -> Pass:
    """A pass with the reference kernels, in which each layer draws the same numbers every time."""
    return Pass(load("reference"), training, needs_dx, noise=lambda path: randomness.generator(seed, "noise", path))


def parameters(
    layer: Layer, shape: Shape, generator: np.random.Generator, dtype: Any = np.float64
) -> Mapping[str, Any]:
    """Random values for the parameters of a layer, none of them at a special place such as 0 or 1."""

    def draw(parameter: Parameter) -> Array:
        if parameter.initializer not in ("zeros", "ones"):
            return generator.normal(0, 0.5, parameter.shape).astype(dtype)
        sign = 1 if parameter.initializer == "ones" else -1
        return (sign * generator.uniform(0.5, 1.5, parameter.shape)).astype(dtype)

    def drawn(tree: Mapping[str, Any]) -> Mapping[str, Any]:
        return {name: draw(value) if isinstance(value, Parameter) else drawn(value) for name, value in tree.items()}

    return drawn(layer.parameters(shape))


def inputs(shape: Shape, n: int, generator: np.random.Generator, *, smooth: bool = True) -> Array:
    """Random inputs (*shape, n); with `smooth=False` all distinct and away from zero, where kinks and ties are."""
    shape = (*shape, n)
    if smooth:
        return generator.standard_normal(shape)
    size = int(np.prod(shape))
    return ((generator.permutation(size) + 0.25) / size * 4 - 2).reshape(shape)


def frozen(x: Array) -> Array:
    """A copy that a layer cannot write to."""
    x = np.array(x)
    x.flags.writeable = False
    return x


def leaves(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


def leaf(tree: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    for name in path:
        tree = tree[name]
    return tree


def replaced(tree: Mapping[str, Any], path: tuple[str, ...], value: Any) -> Mapping[str, Any]:
    """The tree with another value at `path`."""
    name, *rest = path
    return {**tree, name: replaced(tree[name], tuple(rest), value) if rest else value}


def copied(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """A copy of the arrays: batch norm writes its running statistics."""
    return {name: copied(value) if isinstance(value, Mapping) else np.array(value) for name, value in tree.items()}
