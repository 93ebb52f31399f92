"""Batch norm, by the statistics of the batch or by the running ones."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import numpy as np

from firstlight.kernels._elementwise import rectified, total, total_of_products
from firstlight.kernels._interpreter import (
    ARENA,
    CONSTANTS,
    DOUBLE,
    GRADIENT,
    IMAGES,
    LONG,
    SIZE,
    STATISTICS,
    STATISTICS_STEP,
    THETA,
    WORKERS,
    operation,
    view,
)
from firstlight.kernels._jit import inner


@operation
def statistics(op, n, n0, chunk, frame, like):
    """The mean of each channel and the sum of squares about it, over this chunk: [x, C, pixels, statistics]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena = view(frame[ARENA], like)
    statistics = view(frame[STATISTICS], DOUBLE)[chunk * frame[STATISTICS_STEP] :]
    length = op[3] * n
    for c in range(op[2]):
        at = op[1] * n + c * length
        mean = total(arena, at, length) / arena.dtype.type(length)
        statistics[op[4] + 2 * c] = mean
        statistics[op[4] + 2 * c + 1] = total_of_products(arena, at, mean, at, mean, length)


@operation
def normalize(op, n, n0, chunk, frame, like):
    """y = γ x̂ + β from the statistics of all chunks (Chan et al. 1979), and the running ones after it.

    [x, y, C, pixels, statistics, γ, β, mean, var, momentum, ε, relu]
    """
    op, frame = view(op, LONG), view(frame, LONG)
    arena, theta, constants = view(frame[ARENA], like), view(frame[THETA], like), view(frame[CONSTANTS], DOUBLE)
    images, size = frame[IMAGES], frame[SIZE]
    statistics, step, chunks = view(frame[STATISTICS], DOUBLE), frame[STATISTICS_STEP], -(-images // size)
    pixels, s, momentum = op[4], op[5], constants[op[10]]
    length, m = pixels * n, pixels * images
    for c in range(op[3]):
        mean = 0.0
        for k in range(chunks):
            mean += statistics[k * step + s + 2 * c] * (min(size, images - k * size) * pixels) / m
        square = 0.0
        for k in range(chunks):
            apart = statistics[k * step + s + 2 * c] - mean
            square += statistics[k * step + s + 2 * c + 1] + apart * apart * (min(size, images - k * size) * pixels)
        shrink = 1 / np.sqrt(square / m + constants[op[11]])
        own = chunk * step + s + 2 * op[3] + 2 * c
        statistics[own], statistics[own + 1] = mean, shrink
        if chunk == 0:
            theta[op[8] + c] = momentum * theta[op[8] + c] + (1 - momentum) * mean
            theta[op[9] + c] = momentum * theta[op[9] + c] + (1 - momentum) * square / (m - 1)
        middle, factor = arena.dtype.type(mean), arena.dtype.type(shrink * theta[op[6] + c])
        _scale(arena, op[1] * n + c * length, op[2] * n + c * length, length, middle, factor, theta[op[7] + c], op[12])


@inner
def _scale(arena, x, y, length, middle, factor, offset, relu):
    """y = (x − middle) · factor + offset."""
    zero = arena.dtype.type(0)
    a, b = arena[x : x + length], arena[y : y + length]
    if relu:
        for i in range(length):
            v = (a[i] - middle) * factor + offset
            b[i] = zero if v < zero else v
    else:
        for i in range(length):
            b[i] = (a[i] - middle) * factor + offset


@operation
def normalize_sums(op, n, n0, chunk, frame, like):
    """dβ = Σ dy and dγ = Σ dy x̂ over this chunk: [x, dy, C, pixels, statistics, dγ, dβ, relu, y]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena, gradient = view(frame[ARENA], like), view(frame[GRADIENT], like)
    statistics = view(frame[STATISTICS], DOUBLE)[chunk * frame[STATISTICS_STEP] :]
    C, length = op[3], op[4] * n
    zero = arena.dtype.type(0)
    for c in range(C):
        x, dy, y = op[1] * n + c * length, op[2] * n + c * length, op[9] * n + c * length
        if op[8]:
            rectified(arena[y : y + length], arena[dy : dy + length])
        own = op[5] + 2 * C + 2 * c
        dbeta = total(arena, dy, length)
        dgamma = total_of_products(arena, x, arena.dtype.type(statistics[own]), dy, zero, length) * statistics[own + 1]
        statistics[op[5] + 4 * C + 2 * c], statistics[op[5] + 4 * C + 2 * c + 1] = dbeta, dgamma
        if op[6] >= 0:
            gradient[op[6] + c] = dgamma
        if op[7] >= 0:
            gradient[op[7] + c] = dbeta


@operation
def normalize_back(op, n, n0, chunk, frame, like):
    """dx = γ / √(σ² + ε) · (dy − dβ/m − x̂ dγ/m), in the place of dy: [x, dy, C, pixels, statistics, γ]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena, theta = view(frame[ARENA], like), view(frame[THETA], like)
    images = frame[IMAGES]
    statistics, step, chunks = view(frame[STATISTICS], DOUBLE), frame[STATISTICS_STEP], -(-images // frame[SIZE])
    C, length, s = op[3], op[4] * n, op[5]
    m = op[4] * images
    for c in range(C):
        dbeta, dgamma = 0.0, 0.0
        for k in range(chunks):
            dbeta += statistics[k * step + s + 4 * C + 2 * c]
            dgamma += statistics[k * step + s + 4 * C + 2 * c + 1]
        own = chunk * step + s + 2 * C + 2 * c
        mean, shrink = statistics[own], statistics[own + 1]
        kind = arena.dtype.type
        middle, lean, level = kind(mean), kind(-dgamma / m * shrink), kind(-dbeta / m)
        factor = kind(shrink * theta[op[6] + c])
        x, dy = op[1] * n + c * length, op[2] * n + c * length
        a, b = arena[x : x + length], arena[dy : dy + length]
        for i in range(length):
            b[i] = (b[i] + level + (a[i] - middle) * lean) * factor


@operation
def normalize_running(op, n, n0, chunk, frame, like):
    """y = γ x̂ + β by the running statistics: [x, y, C, pixels, ·, γ, β, mean, var, ·, ε, relu]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena, theta, constants = view(frame[ARENA], like), view(frame[THETA], like), view(frame[CONSTANTS], DOUBLE)
    length = op[4] * n
    for c in range(op[3]):
        shrink = 1 / np.sqrt(theta[op[9] + c] + constants[op[11]])
        factor = arena.dtype.type(shrink * theta[op[6] + c])
        x, y = op[1] * n + c * length, op[2] * n + c * length
        _scale(arena, x, y, length, theta[op[8] + c], factor, theta[op[7] + c], op[12])


@operation
def normalize_running_back(op, n, n0, chunk, frame, like):
    """dγ, dβ, and dx in the place of dy: [x, dy, C, pixels, γ, mean, var, ε, dγ, dβ, relu, y]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena, theta, gradient = view(frame[ARENA], like), view(frame[THETA], like), view(frame[GRADIENT], like)
    constants, fresh = view(frame[CONSTANTS], DOUBLE), chunk < frame[WORKERS]
    length = op[4] * n
    zero = arena.dtype.type(0)
    for c in range(op[3]):
        x, dy, y = op[1] * n + c * length, op[2] * n + c * length, op[12] * n + c * length
        if op[11]:
            rectified(arena[y : y + length], arena[dy : dy + length])
        shrink = arena.dtype.type(1 / np.sqrt(theta[op[7] + c] + constants[op[8]]))
        if op[9] >= 0:
            dgamma = total_of_products(arena, x, theta[op[6] + c], dy, zero, length) * shrink
            gradient[op[9] + c] = dgamma if fresh else gradient[op[9] + c] + dgamma
        if op[10] >= 0:
            dbeta = total(arena, dy, length)
            gradient[op[10] + c] = dbeta if fresh else gradient[op[10] + c] + dbeta
        factor = shrink * theta[op[5] + c]
        b = arena[dy : dy + length]
        for i in range(length):
            b[i] *= factor
