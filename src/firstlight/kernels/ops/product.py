"""Products of matrices: y = W x + b, dW = dy xᵀ, dx = Wᵀ dy."""

# Numba infers the types of compiled functions, and O is the number of rows.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"
# ruff: noqa: E741, N815

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import types

from firstlight.kernels._interpreter import call, view
from firstlight.kernels._jit import inner
from firstlight.kernels._tiles import FROM_TARGET, FROM_ZERO, ROWS, TILES
from firstlight.kernels._vectors import INDEX, VECTOR_BYTES, Emitter, intrinsic, turn_rows
from firstlight.kernels.graph import Graph
from firstlight.kernels.operation import Cut, Slot, Step, Subroutine, Value, operation, slot_start, step
from firstlight.kernels.ops.convolution import Correlate, Correlation, bias_gradient
from firstlight.types import Array

# What the panels of xᵀ may take of a core's second-level cache.
PANELS = 1 << 18
# The weights from which on threads share out their rows in training (decision 0043).
SPLIT = 1 << 16
AT_ONCE = 8  # rows of weights, for one image alone: so many sums hide how long one takes


@operation
def product(graph: Graph, x: Value, W: Slot, b: Slot | None) -> Value:
    """For x (K,): a correlation of images of one pixel, and as many channels."""
    from firstlight.kernels.ops.split_product import split_product

    O, K = W.shape[0], x.size
    if graph.training and O * K >= SPLIT:
        return split_product(graph, x, W, b)
    trains = x.requires_grad or W.trainable or (b is not None and b.trainable)
    y = graph.value((O,), trains, may_overwrite=True)
    forward = Correlation((K, 1, 1), (O, 1, 1), (K, 1))
    graph.can_rectify(y, graph.append(Correlate(x, y, W.start, slot_start(b), forward)))

    def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
        bias_gradient(graph, dy, b)
        if W.trainable:
            graph.append(ProductGradient(x, dy, W.start, O, K))
        if not x.requires_grad:
            return ()
        dx = graph.value(x.shape)
        graph.append(Correlate(dy, dx, W.start, -1, Correlation((O, 1, 1), (K, 1, 1), (1, K))))
        return ((x, dx),)

    graph.on_backward(y, backward)
    return y


@step
class ProductGradient(Step):
    """dW (O, K) = dy xᵀ: sums over the images."""

    x: Value
    dy: Value
    dW: int
    O: int
    K: int

    def ready(self, cut: Cut) -> Step:
        panels, taps, runs = panels_of(self.K, cut.n, cut)
        return ProductGradientTiles(self.x, self.dy, self.dW, self.O, self.K, panels, taps, runs)


@step
class ProductGradientTiles(Step):
    """The same by `sum_panels`. A large dW is not cleared: in a thread's first chunk its sums begin with zero."""

    x: Value
    dy: Value
    dW: int
    O: int
    K: int
    panels: int
    taps: Array
    runs: Array
    subroutine: Subroutine = TILES

    def scratch(self, cut: Cut) -> int:
        return 2 * cut.lanes * (self.panels * cut.n + ROWS)  # the panels, and a tile that reaches beyond its row

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        x, scratch = view(frame.arena, like)[op.x :], view(frame.scratch, like)
        size, width = scratch.itemsize, 2 * VECTOR_BYTES // scratch.itemsize
        start = FROM_ZERO if frame.fresh else FROM_TARGET
        dy, dW = frame.arena + op.dy * size, frame.gradient + op.dW * size
        for k0 in range(0, op.K, op.panels * width):
            k1 = min(op.K, k0 + op.panels * width)
            for k in range(k0, k1, width):
                turn_rows(x, k * n, n, scratch, ROWS * width + (k - k0) * n, width, min(width, k1 - k))
            sum_panels(op, frame, like, frame.scratch + ROWS * width * size, dy, dW, n, k0, k1, op.O, start)


def panels_of(K: int, n: int, cut: Cut) -> tuple[int, Array, Array]:
    """How many panels are taken at a time, the taps of each, the images, and a run of all of them for each."""
    width = 2 * cut.lanes
    panels, images = min(-(-K // width), max(1, PANELS // (width * n * cut.itemsize))), np.arange(n)
    return panels, np.stack([images * width, images], 1), np.tile([0, n], panels)


@inner
def sum_panels(op, frame, like, panels, dy, dW, n, k0, k1, rows, start):
    """dW[:, k0 : k1] = dy xᵀ over n images, for as many columns of xᵀ at a time as a tile is wide: a panel.

    A panel lies together in memory; in xᵀ as it is, these columns would fall on the same sets of the cache. The last
    one may be narrower. `panels`, dy and dW are addresses.
    """
    size = view(frame.arena, like).itemsize
    width = 2 * VECTOR_BYTES // size
    whole, rest = (k1 - k0) // width, (k1 - k0) % width
    for first, count, columns in ((0, whole, width), (whole, 1, rest)):
        if count and columns:
            call(op.subroutine, (
                panels + first * n * width * size, dy, frame.tables + op.taps * 4, frame.tables + op.runs * 4,
                frame.theta, dW + (k0 + first * width) * size, frame.scratch,
                n * width, n, 1, op.K, 1, columns, 0, columns, 0, count, 0, rows, 0, start, 0,
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
