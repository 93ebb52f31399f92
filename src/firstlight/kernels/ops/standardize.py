"""Each image by itself: minus its mean, divided by its standard deviation where that is not zero."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import numpy as np

from firstlight.kernels._interpreter import view
from firstlight.kernels.graph import Graph
from firstlight.kernels.operation import Step, Value, operation, step


@operation
def standardize(graph: Graph, x: Value) -> Value:
    """In the place of x, the images."""
    graph.append(Standardize(x, x.size))
    return x


@step
class Standardize(Step):
    """x ← (x − mean) / standard deviation."""

    x: Value
    features: int

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        x = view(frame.arena, like)[op.x :]
        mean, square = np.zeros(n), np.zeros(n)
        for f in range(op.features):
            for i in range(n):
                mean[i] += x[f * n + i]
        for i in range(n):
            mean[i] /= op.features
        for f in range(op.features):
            for i in range(n):
                apart = x[f * n + i] - mean[i]
                square[i] += apart * apart
        for i in range(n):
            square[i] = np.sqrt(square[i] / op.features)
            square[i] = 1 / square[i] if square[i] > 0 else 1.0
        for f in range(op.features):
            for i in range(n):
                x[f * n + i] = (x[f * n + i] - mean[i]) * square[i]
