"""Group and layer norm: y = γ x̂ + β, with mean and variance of each image by itself, over a group of its channels.

The mean goes over K values: those of a group's channels, at all pixels (group norm) or at one (layer norm). x is seen
as (groups, channels, inside, m): `inside` pixels are averaged over, and m numbers side by side have statistics of
their own, the images (and, in layer norm, the pixels). With s = 1 / √(σ² + ε),

    dβ = Σ dy,  dγ = Σ dy x̂,  dx = s (γ dy − Σ γ dy / K − x̂ Σ γ dy x̂ / K)
"""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from firstlight.kernels._interpreter import DOUBLE, gradient_sums, view
from firstlight.kernels.graph import Graph
from firstlight.kernels.operation import Cut, Slot, Step, Value, operation, step, trained_start


@operation
def normalize_sample(
    graph: Graph, x: Value, gamma: Slot, beta: Slot, groups: int, over_pixels: bool, epsilon: float
) -> Value:
    """x (C, ...); γ and β (C,). `over_pixels`: group norm; else each pixel has statistics of its own."""
    pixels = math.prod(x.shape[1:])
    inside, outside = (pixels, 1) if over_pixels else (1, pixels)
    y = graph.value(x.shape, x.requires_grad or gamma.trainable or beta.trainable, may_overwrite=True)
    told = graph.value((2, groups, outside))  # the mean, and s
    geometry = (groups, x.shape[0] // groups, inside, outside)
    graph.append(NormalizeSample(x, y, told, gamma.start, beta.start, *geometry, epsilon))

    def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
        by_weights = trained_start(gamma), trained_start(beta)
        graph.append(NormalizeSampleBack(x, dy, told, gamma.start, *by_weights, *geometry))
        return ((x, dy),) if x.requires_grad else ()

    graph.on_backward(y, backward)
    return y


@step
class NormalizeSample(Step):
    """y, and what is told to the gradient: means and s, (2, groups, m)."""

    x: Value
    y: Value
    told: Value
    gamma: int
    beta: int
    groups: int
    channels: int
    inside: int
    outside: int
    epsilon: float

    def scratch(self, cut: Cut) -> int:
        return 2 * self.outside * cut.n * 8 // cut.itemsize  # sums in float64

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena, theta, sums = view(frame.arena, like), view(frame.theta, like), view(frame.scratch, DOUBLE)
        m = op.outside * n
        rows = op.channels * op.inside
        total, square = sums[:m], sums[m : 2 * m]
        for g in range(op.groups):
            first = op.x + g * rows * m
            means = arena[op.told + g * m : op.told + (g + 1) * m]
            shrink = arena[op.told + (op.groups + g) * m : op.told + (op.groups + g + 1) * m]
            total[:] = 0
            square[:] = 0
            for row in range(rows):
                x = arena[first + row * m : first + (row + 1) * m]
                for j in range(m):
                    total[j] += x[j]
            for j in range(m):
                means[j] = total[j] / rows
            for row in range(rows):
                x = arena[first + row * m : first + (row + 1) * m]
                for j in range(m):
                    apart = x[j] - means[j]
                    square[j] += apart * apart
            for j in range(m):
                shrink[j] = 1 / np.sqrt(square[j] / rows + op.epsilon)
            for row in range(rows):
                c = g * op.channels + row // op.inside
                scale, shift = theta[op.gamma + c], theta[op.beta + c]
                x = arena[first + row * m : first + (row + 1) * m]
                y = arena[op.y + (g * rows + row) * m : op.y + (g * rows + row + 1) * m]
                for j in range(m):
                    y[j] = (x[j] - means[j]) * shrink[j] * scale + shift


@step
class NormalizeSampleBack(Step):
    """dγ, dβ, and dx in the place of dy."""

    x: Value
    dy: Value
    told: Value
    gamma: int
    dgamma: int
    dbeta: int
    groups: int
    channels: int
    inside: int
    outside: int

    def scratch(self, cut: Cut) -> int:
        return 4 * self.outside * cut.n * 8 // cut.itemsize  # sums in float64

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena, theta, sums = view(frame.arena, like), view(frame.theta, like), view(frame.scratch, DOUBLE)
        m = op.outside * n
        rows = op.channels * op.inside
        C = op.groups * op.channels
        by_gamma = gradient_sums(frame, max(0, op.dgamma), C if op.dgamma >= 0 else 0, like)
        by_beta = gradient_sums(frame, max(0, op.dbeta), C if op.dbeta >= 0 else 0, like)
        # Over the pixels of a channel: Σ dy, Σ dy x̂; over the group: Σ γ dy / K, Σ γ dy x̂ / K.
        plain, products, level, lean = sums[:m], sums[m : 2 * m], sums[2 * m : 3 * m], sums[3 * m : 4 * m]
        for g in range(op.groups):
            means = arena[op.told + g * m : op.told + (g + 1) * m]
            shrink = arena[op.told + (op.groups + g) * m : op.told + (op.groups + g + 1) * m]
            level[:] = 0
            lean[:] = 0
            for k in range(op.channels):
                c = g * op.channels + k
                plain[:] = 0
                products[:] = 0
                for p in range(op.inside):
                    at = (c * op.inside + p) * m
                    x, dy = arena[op.x + at : op.x + at + m], arena[op.dy + at : op.dy + at + m]
                    for j in range(m):
                        plain[j] += dy[j]
                        products[j] += dy[j] * ((x[j] - means[j]) * shrink[j])
                share = theta[op.gamma + c] / np.float64(rows)
                for j in range(m):
                    level[j] += share * plain[j]
                    lean[j] += share * products[j]
                if op.dbeta >= 0:
                    by_beta[c] += plain.sum()
                if op.dgamma >= 0:
                    by_gamma[c] += products.sum()
            for row in range(rows):
                scale = theta[op.gamma + g * op.channels + row // op.inside]
                at = (g * rows + row) * m
                x, dy = arena[op.x + at : op.x + at + m], arena[op.dy + at : op.dy + at + m]
                for j in range(m):
                    dy[j] = shrink[j] * (scale * dy[j] - level[j] - (x[j] - means[j]) * shrink[j] * lean[j])
