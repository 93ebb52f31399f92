"""Batch norm: y = γ x̂ + β, by the statistics of the batch, for which all threads wait, or by the running ones."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from firstlight.kernels._interpreter import DOUBLE, gradient_sums, view
from firstlight.kernels._jit import inner
from firstlight.kernels._vectors import total, total_of_products
from firstlight.kernels.graph import Graph
from firstlight.kernels.operation import Slot, Step, Value, operation, step, trained_start
from firstlight.kernels.ops.activation import relu_back

# What a chunk tells the others of each channel, two numbers each: mean and sum of squares; the mean of all and what
# x̂ is shrunk by; dβ and dγ.
TOLD = 6


@operation
def batch_norm(graph: Graph, x: Value, p: Mapping[str, Slot], momentum: float, epsilon: float, path: str) -> Value:
    """In evaluation, and for a path of `running_stats`, by the running statistics."""
    gamma, beta, mean, var = (p[name].start for name in ("gamma", "beta", "mean", "var"))
    dgamma, dbeta = trained_start(p["gamma"]), trained_start(p["beta"])
    C, pixels = x.shape[0], math.prod(x.shape[1:])
    y = graph.value(x.shape, x.requires_grad or p["gamma"].trainable or p["beta"].trainable, may_overwrite=True)
    forward: NormalizeRunning | Normalize
    running = not graph.training or path in graph.running_stats
    at = graph.statistics
    if running:
        forward = graph.append(NormalizeRunning(x, y, C, pixels, gamma, beta, mean, var, epsilon))
    else:
        graph.statistics += TOLD * C
        graph.norms.append((path, pixels))
        graph.append(Statistics(x, C, pixels, at))
        graph.wait()
        forward = graph.append(Normalize(x, y, C, pixels, at, gamma, beta, mean, var, momentum, epsilon))
    graph.can_rectify(y, forward)

    def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
        relu = forward.relu
        graph.cut_here(dy)
        if running:
            graph.append(NormalizeRunningBack(x, dy, C, pixels, gamma, mean, var, epsilon, dgamma, dbeta, relu, y))
        else:
            graph.append(NormalizeSums(x, dy, C, pixels, at, dgamma, dbeta, relu, y))
            graph.wait()
            if x.requires_grad:
                graph.append(NormalizeBack(x, dy, C, pixels, at, gamma))
        return ((x, dy),) if x.requires_grad else ()

    graph.on_backward(y, backward)
    return y


@step
class Statistics(Step):
    """The mean of each channel and the sum of squares about it, over this chunk."""

    x: Value
    C: int
    pixels: int
    at: int

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena = view(frame.arena, like)
        statistics = view(frame.statistics, DOUBLE)[chunk * frame.statistics_step :]
        length = op.pixels * n
        for c in range(op.C):
            at = op.x + c * length
            mean = total(arena, at, length) / arena.dtype.type(length)
            statistics[op.at + 2 * c] = mean
            statistics[op.at + 2 * c + 1] = total_of_products(arena, at, mean, at, mean, length)


@step
class Normalize(Step):
    """y = γ x̂ + β from the statistics of all chunks (Chan et al. 1979), and the running ones after it."""

    x: Value
    y: Value
    C: int
    pixels: int
    at: int
    gamma: int
    beta: int
    mean: int
    var: int
    momentum: float
    epsilon: float
    relu: bool = False

    gradient_rectifies: ClassVar[bool] = True

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena, theta = view(frame.arena, like), view(frame.theta, like)
        images, size = frame.images, frame.size
        statistics, step, chunks = view(frame.statistics, DOUBLE), frame.statistics_step, -(-images // size)
        pixels, s, momentum = op.pixels, op.at, op.momentum
        length, m = pixels * n, pixels * images
        for c in range(op.C):
            mean = 0.0
            for k in range(chunks):
                mean += statistics[k * step + s + 2 * c] * (min(size, images - k * size) * pixels) / m
            square = 0.0
            for k in range(chunks):
                apart = statistics[k * step + s + 2 * c] - mean
                square += statistics[k * step + s + 2 * c + 1] + apart * apart * (min(size, images - k * size) * pixels)
            shrink = 1 / np.sqrt(square / m + op.epsilon)
            own = chunk * step + s + 2 * op.C + 2 * c
            statistics[own], statistics[own + 1] = mean, shrink
            if chunk == 0:
                theta[op.mean + c] = momentum * theta[op.mean + c] + (1 - momentum) * mean
                theta[op.var + c] = momentum * theta[op.var + c] + (1 - momentum) * square / (m - 1)
            middle, factor = arena.dtype.type(mean), arena.dtype.type(shrink * theta[op.gamma + c])
            at = c * length
            scale_and_shift(arena, op.x + at, op.y + at, length, middle, factor, theta[op.beta + c], op.relu)


@inner
def scale_and_shift(arena, x, y, length, middle, factor, offset, relu):
    """y = (x − middle) · factor + offset, rectified where that is asked for."""
    zero = arena.dtype.type(0)
    a, b = arena[x : x + length], arena[y : y + length]
    if relu:
        for i in range(length):
            v = (a[i] - middle) * factor + offset
            b[i] = zero if v < zero else v
    else:
        for i in range(length):
            b[i] = (a[i] - middle) * factor + offset


@step
class NormalizeSums(Step):
    """dβ = Σ dy and dγ = Σ dy x̂ over this chunk, told to the others too."""

    x: Value
    dy: Value
    C: int
    pixels: int
    at: int
    dgamma: int
    dbeta: int
    relu: bool
    y: Value

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena = view(frame.arena, like)
        statistics = view(frame.statistics, DOUBLE)[chunk * frame.statistics_step :]
        C, length = op.C, op.pixels * n
        zero = arena.dtype.type(0)
        by_gamma = gradient_sums(frame, max(0, op.dgamma), C if op.dgamma >= 0 else 0, like)
        by_beta = gradient_sums(frame, max(0, op.dbeta), C if op.dbeta >= 0 else 0, like)
        for c in range(C):
            x, dy, y = op.x + c * length, op.dy + c * length, op.y + c * length
            if op.relu:
                relu_back(arena[y : y + length], arena[dy : dy + length], zero)
            own = op.at + 2 * C + 2 * c
            dbeta = total(arena, dy, length)
            mean, shrink = arena.dtype.type(statistics[own]), statistics[own + 1]
            dgamma = total_of_products(arena, x, mean, dy, zero, length) * shrink
            statistics[op.at + 4 * C + 2 * c], statistics[op.at + 4 * C + 2 * c + 1] = dbeta, dgamma
            if op.dgamma >= 0:
                by_gamma[c] += dgamma
            if op.dbeta >= 0:
                by_beta[c] += dbeta


@step
class NormalizeBack(Step):
    """dx = γ / √(σ² + ε) · (dy − dβ/m − x̂ dγ/m), in the place of dy."""

    x: Value
    dy: Value
    C: int
    pixels: int
    at: int
    gamma: int

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena, theta = view(frame.arena, like), view(frame.theta, like)
        images = frame.images
        statistics, step, chunks = view(frame.statistics, DOUBLE), frame.statistics_step, -(-images // frame.size)
        C, length, s = op.C, op.pixels * n, op.at
        m = op.pixels * images
        for c in range(C):
            dbeta, dgamma = 0.0, 0.0
            for k in range(chunks):
                dbeta += statistics[k * step + s + 4 * C + 2 * c]
                dgamma += statistics[k * step + s + 4 * C + 2 * c + 1]
            own = chunk * step + s + 2 * C + 2 * c
            mean, shrink = statistics[own], statistics[own + 1]
            kind = arena.dtype.type
            middle, lean, level = kind(mean), kind(-dgamma / m * shrink), kind(-dbeta / m)
            factor = kind(shrink * theta[op.gamma + c])
            x, dy = op.x + c * length, op.dy + c * length
            a, b = arena[x : x + length], arena[dy : dy + length]
            for i in range(length):
                b[i] = (b[i] + level + (a[i] - middle) * lean) * factor


@step
class NormalizeRunning(Step):
    """y = γ x̂ + β by the running statistics."""

    x: Value
    y: Value
    C: int
    pixels: int
    gamma: int
    beta: int
    mean: int
    var: int
    epsilon: float
    relu: bool = False

    gradient_rectifies: ClassVar[bool] = True

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena, theta = view(frame.arena, like), view(frame.theta, like)
        length = op.pixels * n
        for c in range(op.C):
            shrink = 1 / np.sqrt(theta[op.var + c] + op.epsilon)
            factor = arena.dtype.type(shrink * theta[op.gamma + c])
            x, y = op.x + c * length, op.y + c * length
            scale_and_shift(arena, x, y, length, theta[op.mean + c], factor, theta[op.beta + c], op.relu)


@step
class NormalizeRunningBack(Step):
    """dγ, dβ, and dx in the place of dy."""

    x: Value
    dy: Value
    C: int
    pixels: int
    gamma: int
    mean: int
    var: int
    epsilon: float
    dgamma: int
    dbeta: int
    relu: bool
    y: Value

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena, theta = view(frame.arena, like), view(frame.theta, like)
        length = op.pixels * n
        zero = arena.dtype.type(0)
        by_gamma = gradient_sums(frame, max(0, op.dgamma), op.C if op.dgamma >= 0 else 0, like)
        by_beta = gradient_sums(frame, max(0, op.dbeta), op.C if op.dbeta >= 0 else 0, like)
        for c in range(op.C):
            x, dy, y = op.x + c * length, op.dy + c * length, op.y + c * length
            if op.relu:
                relu_back(arena[y : y + length], arena[dy : dy + length], zero)
            shrink = arena.dtype.type(1 / np.sqrt(theta[op.var + c] + op.epsilon))
            if op.dgamma >= 0:
                by_gamma[c] += total_of_products(arena, x, theta[op.mean + c], dy, zero, length) * shrink
            if op.dbeta >= 0:
                by_beta[c] += total(arena, dy, length)
            factor = shrink * theta[op.gamma + c]
            b = arena[dy : dy + length]
            for i in range(length):
                b[i] *= factor
