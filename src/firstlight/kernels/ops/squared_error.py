"""The squared error by integer labels: the loss c Σ (y − t)² of each image, and dy = 2 c w (y − t) / N."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import numpy as np

from firstlight.kernels._interpreter import BYTE, DOUBLE, LONG, view
from firstlight.kernels.graph import Graph
from firstlight.kernels.operation import Step, Value, operation, step


@operation
def squared_error(graph: Graph, y: Value, c: float) -> Value:
    """c Σ (y − t)², t one-hot."""
    graph.outputs = y.size
    dy = graph.value(y.shape)
    graph.append(SquaredError(y, dy, y.size, c, len(graph.class_weights) > 0))
    graph.backward_from(y, dy)
    return y


@step
class SquaredError(Step):
    """The losses, which images are correct, and dy; of N images in the batch, K classes."""

    y: Value
    dy: Value
    K: int
    c: float
    weighted: bool

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena, labels = view(frame.arena, like), view(frame.labels, LONG)
        losses, correct = view(frame.losses, DOUBLE), view(frame.correct, BYTE)
        class_weights, images = view(frame.class_weights, DOUBLE), frame.images
        K, c = op.K, op.c
        for i in range(n):
            y, dy, label = op.y + i, op.dy + i, labels[n0 + i]
            weight = class_weights[label] if op.weighted else 1.0
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
