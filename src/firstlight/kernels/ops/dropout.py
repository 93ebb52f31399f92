"""Dropout: y = x / (1 − rate) where the mask of the step keeps it, else 0; dx is the same of dy."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from firstlight.kernels._interpreter import BYTE, view
from firstlight.kernels.graph import Graph
from firstlight.kernels.operation import Memory, Step, Value, operation, step


@operation
def dropout(graph: Graph, x: Value, rate: float, path: str) -> Value:
    """The masks of a step are drawn before it, by the layer's path."""
    if not graph.training or rate == 0:
        return x
    mask = sum(math.prod(shape) for _, shape, _ in graph.masks)
    graph.masks.append((path, x.shape, rate))
    grow = 1 / (1 - rate)
    y = replace(x, memory=x.memory if x.may_overwrite else Memory(x.size), may_overwrite=True)
    graph.written(x.memory)
    graph.append(Drop(x, y, x.size, mask, grow))

    def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
        graph.append(Drop(dy, dy, x.size, mask, grow))
        return ((x, dy),)

    graph.on_backward(y, backward)
    return y


@step
class Drop(Step):
    """y = grow · x where kept, else 0; `mask` is the first of its rows in the masks."""

    x: Value
    y: Value
    features: int
    mask: int
    grow: float

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena, kept = view(frame.arena, like), view(frame.masks, BYTE)
        factor = arena.dtype.type(op.grow)
        for f in range(op.features):
            y = arena[op.y + f * n : op.y + (f + 1) * n]
            if op.x != op.y:
                y[:] = arena[op.x + f * n : op.x + (f + 1) * n]
            at = (op.mask + f) * frame.images + n0
            mask = kept[at : at + n]
            for i in range(n):
                y[i] *= mask[i] * factor
