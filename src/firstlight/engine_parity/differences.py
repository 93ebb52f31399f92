"""Relative differences of arrays, and central differences extrapolated to a step of zero (Ridders 1982)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from firstlight.records.parity import FLOOR, Comparison
from firstlight.types import Array

SHRINK = 4.0  # from one step of the differences to the next
LEVELS = 10  # steps that are tried
MOVED = 500  # numbers of an array that a direction moves


def relative_difference(a: Array | None, b: Array | None, scale: float = 0.0) -> float:
    """The relative difference of two arrays: max |a − b| over the largest number in them; infinite where one is lost.

    scale  the largest of all the numbers that these belong to. An array smaller than a thousandth of it is measured
           against that: the gradient with respect to a bias before a batch norm is zero, and its rounding is no
           difference
    """
    if a is None or b is None or a.shape != b.shape:
        return math.inf
    if not a.size:
        return 0.0
    size = max(largest(a), largest(b), FLOOR * scale)
    difference = float(np.abs(a - b).max())
    if not (math.isfinite(difference) and math.isfinite(size)):
        return math.inf
    return difference / size if size else 0.0


def directional_difference(a: float, b: float, size: float) -> float:
    """The relative difference of two derivatives along a direction, where `size` is what such have."""
    difference = abs(a - b)
    if not (math.isfinite(difference) and math.isfinite(size)):
        return math.inf
    return difference / size if size else 0.0


def largest(*arrays: Array | None) -> float:
    """The largest magnitude in some arrays."""
    return max((float(np.abs(a).max()) for a in arrays if a is not None and a.size), default=0.0)


@dataclass(frozen=True)
class Direction:
    """A random direction in which an array is moved: `values` at the places `where` of the flat array.

    At most five hundred numbers move, by about the size that the array's numbers have: the fewer move, the farther
    away is the nearest kink of a ReLU or a max pooling among them.
    """

    where: Array
    values: Array

    @classmethod
    def random(cls, array: Array, generator: np.random.Generator) -> Direction:
        """A direction for `array`."""
        where = generator.permutation(array.size)[:MOVED] if array.size > MOVED else np.arange(array.size)
        size = math.sqrt(float(np.square(array).mean())) or 1.0
        return cls(where, size * generator.standard_normal(len(where)))

    def moved(self, array: Array, t: float) -> Array:
        """array + t · direction."""
        moved = array.copy()
        moved.reshape(-1)[self.where] += t * self.values
        return moved

    def along(self, gradient: Array | None) -> float:
        """⟨gradient, direction⟩; not a number where there is no gradient of the array's size."""
        if gradient is None or gradient.size <= self.where.max():
            return math.nan
        return float(gradient.reshape(-1)[self.where] @ self.values)

    def size(self, gradient: Array | None, scale: float) -> float:
        """The root mean square of ⟨gradient, u⟩ over such directions u; `scale` as in `relative_difference`."""
        spread = math.sqrt(float(np.square(self.values).mean()))
        if gradient is None or gradient.size <= self.where.max():
            return spread * FLOOR * scale
        return spread * max(float(np.linalg.norm(gradient.reshape(-1)[self.where])), FLOOR * scale)


def derivative(f: Callable[[float], Array], v: Array, step: float, tolerance: float) -> tuple[float, float]:
    """d/dt ⟨v, f(t)⟩ at 0 and how uncertain it is, by central differences extrapolated to a step of zero.

    Ridders 1982, "Accurate computation of F′(x) and F′(x) F″(x)": from ever smaller steps a tableau of extrapolations,
    of which the one that changed least is taken, and its change for its uncertainty. Where a step crosses a kink the
    differences do not settle, so smaller steps are tried, until their rounding grows or `tolerance` is reached.
    """
    best, uncertainty = math.nan, math.inf
    before: list[float] = []
    for level in range(LEVELS):
        h = step / SHRINK**level
        row = [float(np.vdot(v, np.asarray(f(h)) - np.asarray(f(-h)))) / (2 * h)]
        factor: Any = 1.0
        for order, coarser in enumerate(before):
            factor *= SHRINK**2
            row.append((row[order] * factor - coarser) / (factor - 1))
            change = max(abs(row[-1] - row[-2]), abs(row[-1] - coarser))
            if change < uncertainty:
                best, uncertainty = row[-1], change
        if uncertainty <= tolerance:
            break
        before = row
    return best, uncertainty


def compare(
    f: Callable[[Array], Array],
    v: Array,
    at: Array,
    by_hand: Array | None,
    by_autograd: Array,
    scale: float,
    generator: np.random.Generator,
    *,
    step: float,
    tolerance: float,
) -> Comparison:
    """Compare two gradients of ⟨v, f⟩ at an array, and both with central differences of f along a random direction.

    step       the first step of the differences, relative to the size of the numbers that are moved
    tolerance  the relative uncertainty at which they are exact enough
    """
    u = Direction.random(at, generator)
    size = max(u.size(by_hand, scale), u.size(by_autograd, scale))
    central, uncertainty = derivative(lambda t: f(u.moved(at, t)), v, step, tolerance * size)
    return Comparison(
        relative_difference(by_hand, by_autograd, scale),
        directional_difference(u.along(by_hand), central, size),
        directional_difference(u.along(by_autograd), central, size),
        directional_difference(uncertainty, 0.0, size),
    )
