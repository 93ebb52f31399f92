"""Average pooling: the mean of each window over the pixels inside the image; dx shares dy out equally among these."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

from collections.abc import Sequence

from firstlight.kernels import Padding, Pair
from firstlight.kernels._interpreter import view
from firstlight.kernels._vectors import add_to
from firstlight.kernels.graph import Graph
from firstlight.kernels.operation import Part, Value, operation, step
from firstlight.kernels.ops.window import Window, window_of


@operation
def avg_pool(graph: Graph, x: Value, size: Pair, stride: Pair, padding: Padding) -> Value:
    """See `Kernels.avg_pool`."""
    window = window_of(x.shape, size, stride, padding)
    y = graph.value((x.shape[0], *window[3:5]), x.requires_grad, may_overwrite=True)
    graph.append(AveragePool(*window, x, y))

    def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
        dx = graph.value(x.shape)
        graph.append(AveragePoolBack(*window, dx, dy))
        return ((x, dx),)

    graph.on_backward(y, backward)
    return y


@step
class AveragePool(Window):
    """y."""

    x: Value | Part
    y: Value | Part

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena = view(frame.arena, like)
        C, H, W, Hy, Wy, kh, kw = op.C, op.H, op.width, op.Hy, op.Wy, op.kh, op.kw
        sh, sw, top, left = op.sh, op.sw, op.top, op.left
        x, y = op.x, op.y
        for c in range(C):
            for i in range(Hy):
                r0, r1 = max(0, top - i * sh), min(kh, H + top - i * sh)
                for j in range(Wy):
                    s0, s1 = max(0, left - j * sw), min(kw, W + left - j * sw)
                    to = y + ((c * Hy + i) * Wy + j) * n
                    arena[to : to + n] = 0
                    for r in range(r0, r1):
                        for s in range(s0, s1):
                            add_to(arena, x + ((c * H + i * sh - top + r) * W + j * sw - left + s) * n, to, n)
                    mean = arena[to : to + n]
                    mean /= arena.dtype.type((r1 - r0) * (s1 - s0))


@step
class AveragePoolBack(Window):
    """dx."""

    dx: Value | Part
    dy: Value | Part

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena = view(frame.arena, like)
        C, H, W, Hy, Wy, kh, kw = op.C, op.H, op.width, op.Hy, op.Wy, op.kh, op.kw
        sh, sw, top, left = op.sh, op.sw, op.top, op.left
        dx, dy = op.dx, op.dy
        arena[dx : dx + C * H * W * n] = 0
        for c in range(C):
            for i in range(Hy):
                r0, r1 = max(0, top - i * sh), min(kh, H + top - i * sh)
                for j in range(Wy):
                    s0, s1 = max(0, left - j * sw), min(kw, W + left - j * sw)
                    share = dy + ((c * Hy + i) * Wy + j) * n
                    each = arena[share : share + n]
                    count = arena.dtype.type((r1 - r0) * (s1 - s0))
                    for r in range(r0, r1):
                        for s in range(s0, s1):
                            to = dx + ((c * H + i * sh - top + r) * W + j * sw - left + s) * n
                            pixel = arena[to : to + n]
                            for m in range(n):
                                pixel[m] += each[m] / count
