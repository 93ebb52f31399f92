"""What comes out of a net: its outputs, and the losses with their gradients."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import numpy as np

from firstlight.kernels._interpreter import (
    ARENA,
    BYTE,
    CONSTANTS,
    CORRECT,
    DOUBLE,
    IMAGES,
    LABELS,
    LONG,
    LOSSES,
    OUTPUT_GRADIENTS,
    OUTPUTS,
    operation,
    view,
)


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
