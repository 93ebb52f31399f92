"""Depthwise convolution: a filter sees one channel; y[o] = b[o] + Σ W[o] · x[o // multiplier] over its taps.

    dx[c] = Σ over the filters o of c, and taps, of W[o] · dy[o],    dW[o] = Σ dy[o] · x[c] over pixels and images

A tap sees for a row of y a row of x, which lies in memory as that does where the stride is 1: one run of numbers.
"""

# Numba infers the types of compiled functions, and O is the number of filters.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"
# ruff: noqa: E741, N815

from __future__ import annotations

from collections.abc import Sequence

from firstlight.kernels import Padding, Pair
from firstlight.kernels._interpreter import gradient_sums, view
from firstlight.kernels._jit import inner
from firstlight.kernels._vectors import total_of_products
from firstlight.kernels.graph import Graph
from firstlight.kernels.operation import Cut, Slot, Value, operation, slot_start, step
from firstlight.kernels.ops.convolution import bias_gradient
from firstlight.kernels.ops.window import Window, window_of, windows_of_tap


@operation
def depthwise_conv2d(graph: Graph, x: Value, W: Slot, b: Slot | None, stride: Pair, padding: Padding) -> Value:
    """x (C, H, W), W (O, 1, kh, kw) with O a multiple of C."""
    O, _, kh, kw = W.shape
    window = window_of(x.shape, (kh, kw), stride, padding)
    trains = x.requires_grad or W.trainable or (b is not None and b.trainable)
    y = graph.value((O, *window[3:5]), trains, may_overwrite=True)
    graph.append(Depthwise(*window, x, y, W.start, slot_start(b), O))

    def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
        bias_gradient(graph, dy, b)
        if W.trainable:
            graph.append(DepthwiseKernelGradient(*window, x, dy, W.start, O))
        if not x.requires_grad:
            return ()
        dx = graph.value(x.shape)
        graph.append(DepthwiseBack(*window, dx, dy, W.start, O))
        return ((x, dx),)

    graph.on_backward(y, backward)
    return y


@inner
def _add_scaled(x, at, to, scale, length):
    """x[to + ·] += scale · x[at + ·]."""
    seen, sums = x[at : at + length], x[to : to + length]
    for i in range(length):
        sums[i] += scale * seen[i]


@step
class Depthwise(Window):
    """y: each tap of a filter adds what it sees."""

    x: Value
    y: Value
    W: int
    b: int
    O: int

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena, theta = view(frame.arena, like), view(frame.theta, like)
        for o in range(op.O):
            c, W = o // (op.O // op.C), theta[op.W + o * op.kh * op.kw :]
            for i in range(op.Hy):
                row = op.y + (o * op.Hy + i) * op.Wy * n
                arena[row : row + op.Wy * n] = theta[op.b + o] if op.b >= 0 else theta.dtype.type(0)
                for r in range(max(0, op.top - i * op.sh), min(op.kh, op.H + op.top - i * op.sh)):
                    seen = op.x + (c * op.H + i * op.sh + r - op.top) * op.width * n
                    for s in range(op.kw):
                        j0, j1 = windows_of_tap(s, op.sw, op.left, op.width, op.Wy)
                        weight = W[r * op.kw + s]
                        if op.sw == 1 and j0 < j1:
                            at = seen + (j0 + s - op.left) * n
                            _add_scaled(arena, at, row + j0 * n, weight, (j1 - j0) * n)
                        else:
                            for j in range(j0, j1):
                                _add_scaled(arena, seen + (j * op.sw + s - op.left) * n, row + j * n, weight, n)


@step
class DepthwiseBack(Window):
    """dx: each tap of a filter sends its share of dy back."""

    dx: Value
    dy: Value
    W: int
    O: int

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena, theta = view(frame.arena, like), view(frame.theta, like)
        arena[op.dx : op.dx + op.C * op.H * op.width * n] = 0
        for o in range(op.O):
            c, W = o // (op.O // op.C), theta[op.W + o * op.kh * op.kw :]
            for i in range(op.Hy):
                row = op.dy + (o * op.Hy + i) * op.Wy * n
                for r in range(max(0, op.top - i * op.sh), min(op.kh, op.H + op.top - i * op.sh)):
                    seen = op.dx + (c * op.H + i * op.sh + r - op.top) * op.width * n
                    for s in range(op.kw):
                        j0, j1 = windows_of_tap(s, op.sw, op.left, op.width, op.Wy)
                        weight = W[r * op.kw + s]
                        if op.sw == 1 and j0 < j1:
                            to = seen + (j0 + s - op.left) * n
                            _add_scaled(arena, row + j0 * n, to, weight, (j1 - j0) * n)
                        else:
                            for j in range(j0, j1):
                                _add_scaled(arena, row + j * n, seen + (j * op.sw + s - op.left) * n, weight, n)


@step
class DepthwiseKernelGradient(Window):
    """dW: of each tap, the products of dy with what it saw; with a stride, image by image in scratch memory first."""

    x: Value
    dy: Value
    dW: int
    O: int

    def scratch(self, cut: Cut) -> int:
        return cut.n

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena, each = view(frame.arena, like), view(frame.scratch, like)
        sums = gradient_sums(frame, op.dW, op.O * op.kh * op.kw, like)
        zero = arena.dtype.type(0)
        for o in range(op.O):
            c = o // (op.O // op.C)
            for r in range(op.kh):
                for s in range(op.kw):
                    i0, i1 = windows_of_tap(r, op.sh, op.top, op.H, op.Hy)
                    j0, j1 = windows_of_tap(s, op.sw, op.left, op.width, op.Wy)
                    found = 0.0
                    each[:n] = 0
                    for i in range(i0, i1):
                        row = op.dy + (o * op.Hy + i) * op.Wy * n
                        seen = op.x + (c * op.H + i * op.sh + r - op.top) * op.width * n
                        if op.sw == 1 and j0 < j1:
                            at = seen + (j0 + s - op.left) * n
                            found += total_of_products(arena, at, zero, row + j0 * n, zero, (j1 - j0) * n)
                        else:
                            for j in range(j0, j1):
                                at, to = seen + (j * op.sw + s - op.left) * n, row + j * n
                                for k in range(n):
                                    each[k] += arena[at + k] * arena[to + k]
                    for k in range(n):
                        found += each[k]
                    sums[(o * op.kh + r) * op.kw + s] += found
