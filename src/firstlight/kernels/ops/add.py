"""Sums of values, which go by copies: y = x + z."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

from collections.abc import Sequence

from firstlight.kernels._interpreter import view
from firstlight.kernels._vectors import add_to
from firstlight.kernels.graph import Graph
from firstlight.kernels.operation import Part, Step, Value, operation, step


@operation
def add(graph: Graph, x: Value, z: Value) -> Value:
    """x + z; both receive dy."""
    y = graph.value(x.shape, x.requires_grad or z.requires_grad, may_overwrite=True)
    graph.append(Copy(x, y, x.size))
    graph.append(Add(z, y, x.size))

    def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
        copy = graph.value(x.shape)
        graph.append(Copy(dy, copy, x.size))
        return ((x, dy), (z, copy))

    graph.on_backward(y, backward)
    return y


@step
class Copy(Step):
    """y = x."""

    x: Value | Part
    y: Value | Part
    features: int

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        x, y = view(frame.arena, like)[op.x :], view(frame.arena, like)[op.y :]
        for i in range(op.features * n):
            y[i] = x[i]


@step
class Add(Step):
    """y ← y + x."""

    x: Value
    y: Value
    features: int

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        add_to(view(frame.arena, like), op.x, op.y, op.features * n)
