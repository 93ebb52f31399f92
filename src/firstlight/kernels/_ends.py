"""Operations of a graph: what goes in and comes out, activations, and what moves or adds values."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import numpy as np

from firstlight.kernels._elementwise import SIDE, activation, activation_gradient, add_to, rectified, turned
from firstlight.kernels._machine import (
    ARENA,
    BYTE,
    CONSTANTS,
    CORRECT,
    DOUBLE,
    IMAGES,
    INDEX,
    LABELS,
    LONG,
    LOSSES,
    OUTPUT_GRADIENTS,
    OUTPUTS,
    PIXELS,
    SCALE,
    SHIFT,
    operation,
    view,
)


@operation
def gather(op, n, n0, chunk, frame, like):
    """x = pixels · scale + shift, the batch last: [x, C, H W]."""
    op, frame = view(op, LONG), view(frame, LONG)
    x, scale, shift = view(frame[ARENA], like), view(frame[SCALE], like), view(frame[SHIFT], like)
    index, pixels = view(frame[INDEX], LONG), view(frame[PIXELS], BYTE)
    C, area = op[2], op[3]
    length = C * area
    blocks, bytes_ = n // SIDE * SIDE, length // SIDE * SIDE
    block = np.empty(SIDE * SIDE, np.uint8)
    for at in range(0, bytes_, SIDE):
        for i0 in range(0, blocks, SIDE):
            turned(pixels, index, n0 + i0, length, at, block)
            for k in range(SIDE):
                f = (at + k) % C * area + (at + k) // C if C > 1 else at + k
                batch = x[(op[1] + f) * n + i0 : (op[1] + f) * n + i0 + SIDE]
                a, b = scale[f], shift[f]
                for i in range(SIDE):
                    batch[i] = scale.dtype.type(block[k * SIDE + i]) * a + b
    for at in range(length):
        f = at % C * area + at // C
        for i in range(0 if at >= bytes_ else blocks, n):
            pixel = pixels[index[n0 + i] * length + at]
            x[(op[1] + f) * n + i] = scale.dtype.type(pixel) * scale[f] + shift[f]


@operation
def standardise(op, n, n0, chunk, frame, like):
    """Each image minus its mean, by its standard deviation where that is not zero: [x, features]."""
    op, frame = view(op, LONG), view(frame, LONG)
    x = view(frame[ARENA], like)[op[1] * n :]
    mean, square = np.zeros(n), np.zeros(n)
    for f in range(op[2]):
        for i in range(n):
            mean[i] += x[f * n + i]
    for i in range(n):
        mean[i] /= op[2]
    for f in range(op[2]):
        for i in range(n):
            apart = x[f * n + i] - mean[i]
            square[i] += apart * apart
    for i in range(n):
        square[i] = np.sqrt(square[i] / op[2])
        square[i] = 1 / square[i] if square[i] > 0 else 1.0
    for f in range(op[2]):
        for i in range(n):
            x[f * n + i] = (x[f * n + i] - mean[i]) * square[i]


@operation
def activate(op, n, n0, chunk, frame, like):
    """y = f(x): [x, y, features, kind, constant]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena, length = view(frame[ARENA], like), op[3] * n
    if op[1] != op[2]:
        arena[op[2] * n : op[2] * n + length] = arena[op[1] * n : op[1] * n + length]
    activation(op[4], arena[op[2] * n : op[2] * n + length], view(frame[CONSTANTS], DOUBLE)[op[5]])


@operation
def activate_back(op, n, n0, chunk, frame, like):
    """dy ← dy · f′: [y, dy, features, kind, constant]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena, length = view(frame[ARENA], like), op[3] * n
    y, dy = arena[op[1] * n : op[1] * n + length], arena[op[2] * n : op[2] * n + length]
    activation_gradient(op[4], y, dy, view(frame[CONSTANTS], DOUBLE)[op[5]])


@operation
def rectify_back(op, n, n0, chunk, frame, like):
    """dy where y > 0, else 0: [y, dy, features]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena, length = view(frame[ARENA], like), op[3] * n
    rectified(arena[op[1] * n : op[1] * n + length], arena[op[2] * n : op[2] * n + length])


@operation
def copy(op, n, n0, chunk, frame, like):
    """y = x: [x, y, features]."""
    op, frame = view(op, LONG), view(frame, LONG)
    x, y = view(frame[ARENA], like)[op[1] * n :], view(frame[ARENA], like)[op[2] * n :]
    for i in range(op[3] * n):
        y[i] = x[i]


@operation
def add(op, n, n0, chunk, frame, like):
    """y ← y + x: [x, y, features]."""
    op, frame = view(op, LONG), view(frame, LONG)
    add_to(view(frame[ARENA], like), op[1] * n, op[2] * n, op[3] * n)


@operation
def clear(op, n, n0, chunk, frame, like):
    """y = 0: [y, features]."""
    op, frame = view(op, LONG), view(frame, LONG)
    view(frame[ARENA], like)[op[1] * n : (op[1] + op[2]) * n] = 0


@operation
def cross_entropy(op, n, n0, chunk, frame, like):
    """The loss of each image, and dy = w (p − t) / N: [y, dy, K, label smoothing, first of the class weights or -1]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena, labels = view(frame[ARENA], like), view(frame[LABELS], LONG)
    losses, correct = view(frame[LOSSES], DOUBLE), view(frame[CORRECT], BYTE)
    constants, images = view(frame[CONSTANTS], DOUBLE), frame[IMAGES]
    K, smoothing = op[3], constants[op[4]]
    off, on = smoothing / K, 1 - smoothing + smoothing / K
    for i in range(n):
        y, dy, label = op[1] * n + i, op[2] * n + i, labels[n0 + i]
        top, best = arena[y], 0
        for k in range(1, K):
            if arena[y + k * n] > top or (arena[y + k * n] != arena[y + k * n] and top == top):
                top, best = arena[y + k * n], k
        total = 0.0
        for k in range(K):
            total += np.exp(np.float64(arena[y + k * n]) - top)
        level = np.log(total) + top
        weight = constants[op[5] + label] if op[5] >= 0 else 1.0
        loss = 0.0
        for k in range(K):
            t = on if k == label else off
            if t != 0:
                loss += t * (level - arena[y + k * n])
            arena[dy + k * n] = (np.exp(arena[y + k * n] - level) - t) * weight / images
        losses[n0 + i] = weight * loss
        correct[n0 + i] = best == label


@operation
def squared_error(op, n, n0, chunk, frame, like):
    """The loss c Σ (y − t)² of each image, and dy = 2 c w (y − t) / N: [y, dy, K, c, first of class weights or -1]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena, labels = view(frame[ARENA], like), view(frame[LABELS], LONG)
    losses, correct = view(frame[LOSSES], DOUBLE), view(frame[CORRECT], BYTE)
    constants, images = view(frame[CONSTANTS], DOUBLE), frame[IMAGES]
    K, c = op[3], constants[op[4]]
    for i in range(n):
        y, dy, label = op[1] * n + i, op[2] * n + i, labels[n0 + i]
        weight = constants[op[5] + label] if op[5] >= 0 else 1.0
        top, best, total = arena[y], 0, 0.0
        for k in range(K):
            value = arena[y + k * n]
            if value > top or (value != value and top == top):
                top, best = value, k
            apart = np.float64(value) - (1.0 if k == label else 0.0)
            total += apart * apart
            arena[dy + k * n] = 2 * c * weight * apart / images
        losses[n0 + i] = weight * c * total
        correct[n0 + i] = best == label


@operation
def output(op, n, n0, chunk, frame, like):
    """Hand y out: [y, K]."""
    op, frame = view(op, LONG), view(frame, LONG)
    y, outputs = view(frame[ARENA], like), view(frame[OUTPUTS], like)
    for k in range(op[2]):
        for i in range(n):
            outputs[k * frame[IMAGES] + n0 + i] = y[(op[1] + k) * n + i]


@operation
def seed(op, n, n0, chunk, frame, like):
    """Take dy in: [dy, K]."""
    op, frame = view(op, LONG), view(frame, LONG)
    dy, output_gradients = view(frame[ARENA], like), view(frame[OUTPUT_GRADIENTS], like)
    for k in range(op[2]):
        for i in range(n):
            dy[(op[1] + k) * n + i] = output_gradients[k * frame[IMAGES] + n0 + i]
