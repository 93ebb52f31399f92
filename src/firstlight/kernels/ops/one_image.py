"""One image alone, in evaluation: what elsewhere has its vectors along the images has them along a row of weights.

`runtime` puts these in the place of the operations that they are named after, where a chunk has one image.
"""

# Numba infers the types of compiled functions, and O is the number of rows.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"
# ruff: noqa: E741

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from firstlight.kernels._interpreter import ARENA, LONG, THETA, operation, view
from firstlight.kernels._jit import inner
from firstlight.kernels._tiles import INDEX, VECTOR_BYTES, Emitter

_intrinsic: Any = intrinsic
ROWS = 8  # of weights at a time: so many sums hide how long one takes


@operation
def tiles_of_one(op, n, n0, chunk, frame, like):
    """y = bias + W x: [x, y, W, bias, K, O, relu]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena, theta = view(frame[ARENA], like), view(frame[THETA], like)
    K, O, relu = op[5], op[6], op[7] != 0
    x, y = arena[op[1] : op[1] + K], arena[op[2] : op[2] + O]
    lanes = VECTOR_BYTES // arena.itemsize
    found = np.empty(max(ROWS, lanes), arena.dtype)
    o = 0
    while o < O:
        rows = ROWS if o + ROWS <= O else 1
        W = theta[op[3] + o * K : op[3] + (o + rows) * K]
        if rows == ROWS:
            _dot_rows(ROWS, W, K, x, found)
        else:
            _dot_rows(1, W, K, x, found)
        for r in range(rows):
            value = found[r]
            for k in range(K // lanes * lanes, K):
                value += W[r * K + k] * x[k]
            if op[4] >= 0:
                value += theta[op[4] + o + r]
            y[o + r] = arena.dtype.type(0) if relu and value < 0 else value
        o += rows


@operation
def max_pool_of_one(op, n, n0, chunk, frame, like):
    """y, the largest of each window: [x, y, ·, C, H, W, H', W', kh, kw, sh, sw, top, left, relu]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena = view(frame[ARENA], like)
    C, H, W, Hy, Wy, kh, kw = op[4], op[5], op[6], op[7], op[8], op[9], op[10]
    sh, sw, top, left, relu = op[11], op[12], op[13], op[14], op[15] != 0
    least, lanes = arena.dtype.type(0 if relu else -np.inf), VECTOR_BYTES // arena.itemsize
    whole, end = -(-Wy // lanes) * lanes, op[2] + C * Hy * Wy  # a vector may reach into the next row, which comes later
    four = kh == 2 and kw == 2 and sw == 2 and top == 0 and left == 0 and (Hy - 1) * sh + 2 <= H and 2 * Wy <= W
    for c in range(C):
        for i in range(Hy):
            y = arena[op[2] + (c * Hy + i) * Wy : op[2] + (c * Hy + i + 1) * Wy]
            if four:
                row = op[1] + (c * H + i * sh) * W
                to = op[2] + (c * Hy + i) * Wy
                if to + whole <= end:
                    _largest_of_pairs(arena, row, row + W, to, least, whole // lanes)
                    continue
                upper, lower = arena[row : row + W], arena[row + W : row + 2 * W]
                for j in range(Wy):
                    above, below = _larger(upper[2 * j], upper[2 * j + 1]), _larger(lower[2 * j], lower[2 * j + 1])
                    y[j] = _larger(least, _larger(above, below))
                continue
            y[:] = least
            for r in range(max(0, top - i * sh), min(kh, H + top - i * sh)):
                row = op[1] + (c * H + i * sh - top + r) * W
                x = arena[row : row + W]
                for s in range(kw):
                    # The windows whose tap s hits a pixel: 0 <= j sw + s − left < W.
                    first, end = max(0, -((s - left) // sw)), min(Wy, (W - 1 - s + left) // sw + 1)
                    for j in range(first, end):
                        y[j] = _larger(y[j], x[j * sw + s - left])


@inner
def _larger(best, v):
    """The larger one; NaN beats every number."""
    return v if (v > best) | (v != v) else best


@_intrinsic
def _largest_of_pairs(_, x, upper, lower, to, least, vectors):
    """x[to + j] = the largest of x[upper + 2j], x[upper + 2j + 1], the same of `lower`, and `least`, as `_larger`."""

    def emit(context, builder, signature, args):
        x_, upper_, lower_, to_, least_, vectors_ = args
        e = Emitter(context, builder, x.dtype)
        even, odd = (
            ir.Constant(ir.VectorType(ir.IntType(32), e.lanes), list(range(first, 2 * e.lanes, 2))) for first in (0, 1)
        )

        def larger(best, v):
            wins = builder.and_(builder.fcmp_unordered(">", v, best), builder.fcmp_ordered("==", best, best))
            return builder.select(wins, v, best)

        def row(at, v):
            start = builder.mul(v, INDEX(2 * e.lanes))
            return [e.load(e.at(x, x_, at, start, half * e.lanes)) for half in (0, 1)]

        with e.loop(vectors_) as v:
            pairs = [larger(a, b) for a, b in zip(row(upper_, v.index), row(lower_, v.index), strict=True)]
            best = larger(builder.shuffle_vector(*pairs, even), builder.shuffle_vector(*pairs, odd))
            e.store(larger(e.spread(least_), best), e.at(x, x_, to_, builder.mul(v.index, INDEX(e.lanes))))
        return context.get_dummy_value()

    i = types.intp
    return types.void(x, i, i, i, x.dtype, i), emit


@_intrinsic(prefer_literal=True)
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
