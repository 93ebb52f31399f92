"""Cross-entropy by integer labels: the loss of each image, and its gradient dy = w (p − t) / N."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import numpy as np

from firstlight.kernels._interpreter import BYTE, DOUBLE, LONG, view
from firstlight.kernels.graph import Graph
from firstlight.kernels.operation import Step, Value, operation, step


@operation
def cross_entropy(graph: Graph, y: Value, smoothing: float) -> Value:
    """−Σₖ tₖ log pₖ with p = softmax(y), and t one-hot, smoothed."""
    graph.outputs = y.size
    dy = graph.value(y.shape)
    graph.append(CrossEntropy(y, dy, y.size, smoothing, len(graph.class_weights) > 0))
    graph.backward_from(y, dy)
    return y


@step
class CrossEntropy(Step):
    """The losses, which images are correct, and dy; of N images in the batch, K classes."""

    y: Value
    dy: Value
    K: int
    smoothing: float
    weighted: bool

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena, labels = view(frame.arena, like), view(frame.labels, LONG)
        losses, correct = view(frame.losses, DOUBLE), view(frame.correct, BYTE)
        class_weights, images = view(frame.class_weights, DOUBLE), frame.images
        K, smoothing = op.K, op.smoothing
        off, on = smoothing / K, 1 - smoothing + smoothing / K
        for i in range(n):
            y, dy, label = op.y + i, op.dy + i, labels[n0 + i]
            top, best = arena[y], 0
            for k in range(1, K):
                if arena[y + k * n] > top or (arena[y + k * n] != arena[y + k * n] and top == top):
                    top, best = arena[y + k * n], k
            total = 0.0
            for k in range(K):
                total += np.exp(np.float64(arena[y + k * n]) - top)
            level = np.log(total) + top
            weight = class_weights[label] if op.weighted else 1.0
            loss = 0.0
            for k in range(K):
                t = on if k == label else off
                if t != 0:
                    loss += t * (level - arena[y + k * n])
                arena[dy + k * n] = (np.exp(arena[y + k * n] - level) - t) * weight / images
            losses[n0 + i] = weight * loss
            correct[n0 + i] = best == label
