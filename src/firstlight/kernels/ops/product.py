"""Products of matrices: y = W x + b, dW = dy xᵀ, dx = Wᵀ dy."""

# Numba infers the types of compiled functions, and O is the number of rows.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"
# ruff: noqa: E741, N815

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import types

from firstlight.kernels._interpreter import call, view
from firstlight.kernels._tiles import FROM_TARGET, FROM_ZERO, ROWS, TILES
from firstlight.kernels._vectors import INDEX, VECTOR_BYTES, Emitter, intrinsic
from firstlight.kernels.graph import Graph
from firstlight.kernels.operation import Cut, Slot, Step, Subroutine, Value, operation, slot_start, step
from firstlight.kernels.ops.convolution import Correlate, Correlation, bias_gradient
from firstlight.types import Array

AT_ONCE = 8  # rows of weights, for one image alone: so many sums hide how long one takes


@operation
def product(graph: Graph, x: Value, W: Slot, b: Slot | None) -> Value:
    """For x (K,): a correlation of images of one pixel, and as many channels."""
    O, K = W.shape[0], x.size
    trains = x.requires_grad or W.trainable or (b is not None and b.trainable)
    y = graph.value((O,), trains, may_overwrite=True)
    forward = Correlation((K, 1, 1), (O, 1, 1), (K, 1))
    graph.can_rectify(y, graph.append(Correlate(x, y, W.start, slot_start(b), forward)))

    def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
        bias_gradient(graph, dy, b)
        if W.trainable:
            turned = graph.value((K,))
            graph.append(Transpose(x, turned, K))
            graph.append(ProductGradient(turned, dy, W.start, O, K))
        if not x.requires_grad:
            return ()
        dx = graph.value(x.shape)
        graph.append(Correlate(dy, dx, W.start, -1, Correlation((O, 1, 1), (K, 1, 1), (1, K))))
        return ((x, dx),)

    graph.on_backward(y, backward)
    return y


@step
class Transpose(Step):
    """xᵀ (n, K) of x (K, n)."""

    x: Value
    turned: Value
    K: int

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        K = op.K
        x, y = view(frame.arena, like)[op.x :], view(frame.arena, like)[op.turned :]
        for k in range(K):
            for i in range(n):
                y[i * K + k] = x[k * n + i]


@step
class ProductGradient(Step):
    """dW (O, K) = dy xᵀ: sums over the images, whose xᵀ is `turned`."""

    turned: Value
    dy: Value
    dW: int
    O: int
    K: int

    def ready(self, cut: Cut) -> Step:
        images = np.arange(cut.n)
        tiles = -(-self.K // (2 * cut.lanes))
        runs, taps = np.tile([0, cut.n], (tiles, 1)), np.stack([images * self.K, images], 1)
        return ProductGradientTiles(self.turned, self.dy, self.dW, self.O, self.K, taps, runs, tiles)


@step
class ProductGradientTiles(Step):
    """The same by `tiles_of_strip`. A large dW is not cleared: in a thread's first chunk its sums begin with zero."""

    turned: Value
    dy: Value
    dW: int
    O: int
    K: int
    taps: Array
    runs: Array
    tiles: int
    subroutine: Subroutine = TILES

    def scratch(self, cut: Cut) -> int:
        return 2 * ROWS * cut.lanes  # a tile that reaches beyond its row

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        size, start = view(frame.arena, like).itemsize, FROM_ZERO if frame.fresh else FROM_TARGET
        call(op.subroutine, (
            frame.arena + op.turned * size, frame.arena + op.dy * size, frame.tables + op.taps * 4,
            frame.tables + op.runs * 4, frame.gradient, frame.gradient + op.dW * size, frame.scratch,
            0, n, op.tiles, 1, 1, op.K, 0, op.K, 0, 1, 0, op.O, 0, start, 0,
        ))  # fmt: skip


@step
class ProductOfOne(Step):
    """y = bias + W x of one image alone: its vectors lie along a row of weights."""

    x: Value
    y: Value
    W: int
    b: int
    K: int
    O: int
    relu: bool

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena, theta = view(frame.arena, like), view(frame.theta, like)
        K, O = op.K, op.O
        x, y = arena[op.x : op.x + K], arena[op.y : op.y + O]
        lanes = VECTOR_BYTES // arena.itemsize
        found = np.empty(max(AT_ONCE, lanes), arena.dtype)
        o = 0
        while o < O:
            rows = AT_ONCE if o + AT_ONCE <= O else 1
            W = theta[op.W + o * K : op.W + (o + rows) * K]
            if rows == AT_ONCE:
                _dot_rows(AT_ONCE, W, K, x, found)
            else:
                _dot_rows(1, W, K, x, found)
            for r in range(rows):
                value = found[r]
                for k in range(K // lanes * lanes, K):
                    value += W[r * K + k] * x[k]
                if op.b >= 0:
                    value += theta[op.b + o + r]
                y[o + r] = arena.dtype.type(0) if op.relu and value < 0 else value
            o += rows


@intrinsic(prefer_literal=True)
def _dot_rows(_, rows, W, K, x, found):
    """found[r] = Σ W[r · K + k] · x[k] over the k of whole vectors."""

    def emit(context, builder, signature, args):
        _, W_, K_, x_, found_ = args
        e = Emitter(context, builder, x.dtype)
        seen, weights = e.at(x, x_), e.at(W, W_)
        sums = [e.register(e.zero) for _ in range(tall)]
        with e.loop(builder.udiv(K_, INDEX(e.lanes))) as v:
            k = builder.mul(v.index, INDEX(e.lanes))
            value = e.load(e.at(None, seen, k))
            for r, slot in enumerate(sums):
                e.accumulate(slot, e.load(e.at(None, weights, k, builder.mul(K_, INDEX(r)))), value)
        for group, total in enumerate(e.totals(sums)):
            e.store(total, e.at(found, found_, group * e.lanes))
        return context.get_dummy_value()

    tall = rows.literal_value
    i = types.intp
    return types.void(rows, W, i, x, found), emit
