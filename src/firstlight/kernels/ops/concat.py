"""Values one after another along the channels."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import math
from collections.abc import Sequence

from firstlight.kernels._interpreter import view
from firstlight.kernels.graph import Graph
from firstlight.kernels.operation import Part, Step, Value, operation, step
from firstlight.kernels.ops.add import Copy


@operation
def concat(graph: Graph, parts: Sequence[Value], before: int = 0, after: int = 0) -> Value:
    """The parts, with so many channels of zeros before and after; each receives its part of dy."""
    pixels = math.prod(parts[0].shape[1:])
    channels = before + sum(part.shape[0] for part in parts) + after
    y = graph.value((channels, *parts[0].shape[1:]), any(part.requires_grad for part in parts), may_overwrite=True)
    if before or after:
        graph.append(Clear(y, y.size))
    places = [before * pixels + sum(part.size for part in parts[:i]) for i in range(len(parts))]
    for part, place in zip(parts, places, strict=True):
        graph.append(Copy(part, Part(y, place), part.size))

    def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
        gradients = []
        for part, place in zip(parts, places, strict=True):
            gradients.append((part, graph.value(part.shape)))
            graph.append(Copy(Part(dy, place), gradients[-1][1], part.size))
        return gradients

    graph.on_backward(y, backward)
    return y


@step
class Clear(Step):
    """y = 0."""

    y: Value
    features: int

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        view(frame.arena, like)[op.y : op.y + op.features * n] = 0
