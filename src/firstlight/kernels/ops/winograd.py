"""3×3 convolutions by Winograd's minimal filtering, F(2×2, 3×3) of Lavin & Gray 2015.

A tile of 2×2 outputs takes 16 products a channel instead of 36. With d the 4×4 pixels that it sees and g a filter,

    y = Aᵀ (U ⊙ V) A,   U = G g Gᵀ,   V = Bᵀ d B,

⊙ is element by element, so that over channels, filters and tiles each of the 16 elements is a product of matrices,
which the register tiles of `_tiles` work out. The gradient by the filters goes the usual way: this one's,
dg = Gᵀ (Σ (A dy Aᵀ) ⊙ V) G, was no faster (docs/log.md).
"""

# Numba infers the types of compiled functions, and O is the number of filters.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"
# ruff: noqa: E741

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from firstlight.kernels._interpreter import ARENA, LONG, SCRATCH, SINGLE, TABLES, THETA, operation, view
from firstlight.kernels._jit import inner
from firstlight.kernels._tiles import FROM_ZERO, INDEX, VECTOR_BYTES, Emitter, fill, tiles_of_strip

_intrinsic: Any = intrinsic


@operation
def winograd(op, n, n0, chunk, frame, like):
    """y = bias + Σ W · x.

    [x, y, W, bias, C, H, W, O, H', W', W_row, W_channel, flipped, tables, block, R, stride of V, relu]
    for R rows of tiles at a time.
    """
    op, frame = view(op, LONG), view(frame, LONG)
    arena, theta, scratch = view(frame[ARENA], like), view(frame[THETA], like), view(frame[SCRATCH], like)
    C, H, W, O, Hy, Wy = op[5], op[6], op[7], op[8], op[9], op[10]
    T, block, R, stride = (Wy + 1) // 2, op[15], op[16], op[17]
    lines, line = 2 * R + 2, (2 * T + 2) * block
    rows, pieces, taps, runs = _tables(view(frame[TABLES], SINGLE), op[14], C)
    x, y = arena[op[1] * n : (op[1] + C * H * W) * n], op[2] * n
    strip, U, V, M = _parts(scratch, C, O, lines * line, stride)
    lanes = VECTOR_BYTES // arena.itemsize
    _filters(theta, op[3], op[11], op[12], op[13] != 0, U, C, O, lanes)
    padded = -(-C // lanes) * lanes
    plane_U, plane_V, plane_M = _apart(O * padded, lanes), _apart(C * stride, lanes), _apart(O * stride, lanes)
    for start in range(0, n, block):
        for first in range(0, (Hy + 1) // 2, R):
            count = min(R, (Hy + 1) // 2 - first)
            r0, r1 = 2 * first, 2 * (first + count) + 2
            fill(strip, 0, x, 0, C, (C, H, W, n), start, rows, r0, r1, pieces, lines, line, block, True)
            _spread(strip, V, C, lines, line, count, T, block, stride, lanes)
            for k in range(16):
                tiles_of_strip(
                    V[k * plane_V :], 0, U[k * plane_U :], padded, taps, runs, U, M[k * plane_M :], (1, 1, stride),
                    (0, stride), (0, 1), (0, O), scratch, 0, FROM_ZERO, False,
                )  # fmt: skip
            for o in range(O):
                bias = theta[op[4] + o] if op[4] >= 0 else theta.dtype.type(0)
                for t in range(count):
                    i = 2 * (first + t)
                    to = y + (o * Hy + i) * Wy * n + start
                    for j in range(T):
                        gather_tile(
                            M, o * stride + (t * T + j) * block, plane_M, arena, to + 2 * j * n, n, Wy * n,
                            i + 1 < Hy, 2 * j + 1 < Wy, bias, op[18] != 0, block // lanes,
                        )  # fmt: skip


@inner
def _apart(size, lanes):
    """The distance of planes of `size` numbers: an odd number of vectors, that none may share the cache's sets."""
    vectors = -(-size // lanes)
    return (vectors + 1 - vectors % 2) * lanes


@inner
def _tables(tables, at, C):
    """Rows, the one piece, taps and runs of `winograd`; the number of rows and of tiles comes first."""
    rows, tiles = tables[at], tables[at + 1]
    a = at + 2 + rows
    b = a + 3
    c = b + 2 * C
    return (
        tables[at + 2 : a],
        tables[a:b].reshape(1, 3),
        tables[b:c].reshape(C, 2),
        tables[c : c + 2 * tiles].reshape(1, tiles, 2),
    )


@inner
def _parts(scratch, C, O, strip, stride):
    """Strip, U (16, O, C padded), V (16, C, stride), M (16, O, stride) in a thread's scratch memory, behind a tile."""
    a = 16 * VECTOR_BYTES // scratch.itemsize * 2
    lanes = VECTOR_BYTES // scratch.itemsize
    b = a + (C * strip + lanes - 1) // lanes * lanes
    c = b + 16 * _apart(O * (-(-C // lanes) * lanes), lanes)
    d = c + 16 * _apart(C * stride, lanes) + 2 * lanes
    end = d + 16 * _apart(O * stride, lanes) + 2 * lanes
    return scratch[a:b], scratch[b:c], scratch[c:d], scratch[d:end]


@inner
def _filters(theta, W, row, channel, flipped, U, C, O, lanes):
    """U = G g Gᵀ for every filter and channel."""
    padded = -(-C // lanes) * lanes
    g = np.zeros(9 * padded, theta.dtype)
    for o in range(O):
        for c in range(C):
            at = W + o * row + c * channel
            for t in range(9):
                g[t * padded + c] = theta[at + 8 - t] if flipped else theta[at + t]
        spread_filter(g, padded, U, o * padded, _apart(O * padded, lanes), padded // lanes)


@inner
def _spread(strip, V, C, lines, line, count, T, block, stride, lanes):
    """V = Bᵀ d B for every channel and tile."""
    plane = _apart(C * stride, lanes)
    for c in range(C):
        for t in range(count):
            at = (c * lines + 2 * t) * line
            for j in range(T):
                spread_tile(
                    strip, at + 2 * j * block, block, line, V, c * stride + (t * T + j) * block, plane,
                    block // lanes,
                )  # fmt: skip


@_intrinsic
def spread_filter(_, g, plane_of_g, U, to, plane, vectors):
    """U[k · plane + to + ·] = G g Gᵀ, element k of 16, for the nine taps g[t · plane_of_g + ·]."""

    def emit(context, builder, signature, args):
        g_, plane_of_g_, U_, to_, plane_, vectors_ = args
        e = Emitter(context, builder, g.dtype)
        half = ir.Constant(e.vector, [0.5] * e.lanes)

        def rows_of_g(d):
            ends = builder.fadd(d[0], d[2])
            sums = builder.fadd(ends, d[1]), builder.fsub(ends, d[1])
            return [d[0], *(builder.fmul(half, total) for total in sums), d[2]]

        with e.loop(vectors_) as i:
            c = builder.mul(i.index, INDEX(e.lanes))
            taps = [e.load(e.at(g, g_, c, builder.mul(plane_of_g_, INDEX(t)))) for t in range(9)]
            columns = [rows_of_g(taps[s::3]) for s in range(3)]
            for r in range(4):
                for s, value in enumerate(rows_of_g([column[r] for column in columns])):
                    e.store(value, e.at(U, U_, to_, c, builder.mul(plane_, INDEX(4 * r + s))))
        return context.get_dummy_value()

    i = types.int64
    return types.void(g, i, U, i, i, i), emit


@_intrinsic
def spread_tile(_, x, at, column, row, V, to, plane, vectors):
    """V[k · plane + to + ·] = Bᵀ d B, element k of 16, for the pixels x[at + r · row + s · column + ·]."""

    def emit(context, builder, signature, args):
        x_, at_, column_, row_, V_, to_, plane_, vectors_ = args
        e = Emitter(context, builder, x.dtype)

        def rows_of_b(d):
            return [
                builder.fsub(d[0], d[2]), builder.fadd(d[1], d[2]), builder.fsub(d[2], d[1]), builder.fsub(d[1], d[3])
            ]  # fmt: skip

        with e.loop(vectors_) as i:
            m = builder.mul(i.index, INDEX(e.lanes))
            first = e.at(x, x_, at_, m)
            d = [
                [
                    e.load(e.at(None, first, builder.mul(row_, INDEX(r)), builder.mul(column_, INDEX(s))))
                    for r in range(4)
                ]
                for s in range(4)
            ]  # by columns
            half = [rows_of_b(column) for column in d]
            for r in range(4):
                for s, value in enumerate(rows_of_b([half[column][r] for column in range(4)])):
                    e.store(value, e.at(V, V_, to_, m, builder.mul(plane_, INDEX(4 * r + s))))
        return context.get_dummy_value()

    i = types.int64
    return types.void(x, i, i, i, V, i, i, i), emit


@_intrinsic
def gather_tile(_, M, at, plane, y, to, column, row, second_row, second_column, bias, relu, vectors):
    """y[to + r · row + s · column + ·] = bias + Aᵀ m A for m[k] = M[k · plane + at + ·]; some tiles lack a second."""

    def emit(context, builder, signature, args):
        M_, at_, plane_, y_, to_, column_, row_, second_row_, second_column_, bias_, relu_, vectors_ = args
        e = Emitter(context, builder, M.dtype)
        bias_vector = e.spread(bias_)

        def rows_of_a(m):
            return [
                builder.fadd(builder.fadd(m[0], m[1]), m[2]), builder.fsub(builder.fsub(m[1], m[2]), m[3])
            ]  # fmt: skip

        with e.loop(vectors_) as i:
            v = builder.mul(i.index, INDEX(e.lanes))
            m = [
                [e.load(e.at(M, M_, at_, v, builder.mul(plane_, INDEX(4 * r + s)))) for r in range(4)] for s in range(4)
            ]
            half = [rows_of_a(column) for column in m]
            outputs = [rows_of_a([half[column][r] for column in range(4)]) for r in range(2)]
            for r in range(2):
                for s in range(2):
                    value = builder.fadd(outputs[r][s], bias_vector)
                    cut = builder.select(builder.fcmp_ordered("<", value, e.zero), e.zero, value)
                    value = builder.select(relu_, cut, value)
                    address = e.at(y, y_, to_, v, builder.mul(row_, INDEX(r)), builder.mul(column_, INDEX(s)))
                    present = ir.Constant(ir.IntType(1), 1)
                    if r:
                        present = builder.and_(present, second_row_)
                    if s:
                        present = builder.and_(present, second_column_)
                    with builder.if_then(present):
                        e.store(value, address)
        return context.get_dummy_value()

    i = types.int64
    return types.void(M, i, i, y, i, i, i, types.boolean, types.boolean, M.dtype, types.boolean, i), emit
