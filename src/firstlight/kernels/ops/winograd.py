"""3×3 convolutions by Winograd's minimal filtering, F(2×2, 3×3) of Lavin & Gray 2015.

A tile of 2×2 outputs takes 16 products a channel instead of 36. With d the 4×4 pixels that it sees and g a filter,

    y = Aᵀ (U ⊙ V) A,   U = G g Gᵀ,   V = Bᵀ d B,

⊙ is element by element, so that over channels, filters and tiles each of the 16 elements is a product of matrices,
which the register tiles of `_tiles` work out. The gradient with respect to the filters goes the usual way: this one's,
dg = Gᵀ (Σ (A dy Aᵀ) ⊙ V) G, was no faster (docs/why/log.md).
"""

# Numba infers the types of compiled functions, and O is the number of filters.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"
# ruff: noqa: E741

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from llvmlite import ir
from numba import types

from firstlight.kernels._interpreter import HALF, SINGLE, call, view
from firstlight.kernels._jit import inner
from firstlight.kernels._tiles import FROM_ZERO, ROWS, TILES, TILES_OF_PAIRS, fill
from firstlight.kernels._vectors import INDEX, VECTOR_BYTES, Emitter, intrinsic
from firstlight.kernels.operation import Cut, Step, Subroutine, Value, step
from firstlight.types import Array

if TYPE_CHECKING:
    from firstlight.kernels.ops.convolution import Correlation

# What the transformed tiles may take of a core's cache, and the fewest channels and filters for which it is faster.
TRANSFORMED, WIDE = 3 << 18, 16


def saves_products(c: Correlation, cut: Cut) -> bool:
    """Whether it is the faster way (docs/why/log.md): 3×3, at least a vector of images, and wide enough."""
    return (
        (c.kernel, c.stride, c.spread) == ((3, 3), (1, 1), (1, 1))
        and cut.n >= cut.lanes
        and min(c.x[0], c.y[0]) >= WIDE
        and _taps(c) >= 1.5 * 16 * -(-c.y[1] // 2) * -(-c.y[2] // 2)
    )


def _taps(c: Correlation) -> int:
    """Pairs of an output pixel and a tap that hits the image: the others cost nothing."""
    axes = zip(c.x[1:], c.y[1:], c.start, strict=True)
    rows, columns = (sum(0 <= i + r + start < size for i in range(out) for r in range(3)) for size, out, start in axes)
    return rows * columns


@step
class Winograd(Step):
    """y = bias + Σ W · x, R rows of tiles for a `block` of images at a time; `stride` lies between channels of V.

    In scratch memory, behind a register tile, lie the strip of x, U (16, O, C padded), V (16, C, stride) and
    M (16, O, stride), each of 16 planes so far apart as the fields say.
    """

    x: Value
    y: Value
    W: int
    b: int
    C: int
    H: int
    width: int
    O: int
    Hy: int
    Wy: int
    W_row: int
    W_channel: int
    flipped: bool
    rows: Array
    piece: Array
    taps: Array
    runs: Array
    tiles: int
    block: int
    R: int
    stride: int
    U: int
    V: int
    M: int
    U_plane: int
    V_plane: int
    M_plane: int
    relu: bool
    subroutine: Subroutine = TILES

    @classmethod
    def of(cls, x: Value, y: Value, W: int, b: int, c: Correlation, cut: Cut, relu: bool) -> Winograd:
        """The step for a correlation, cut so that what is transformed stays in the cache."""
        (C, H, width), (O, Hy, Wy), n = c.x, c.y, cut.n
        factors = -(-C // 2) if cut.half else C  # numbers of U and V for each filter and tile
        top, left = -c.start[0], -c.start[1]
        T, down = -(-Wy // 2), -(-Hy // 2)
        blocks = [block for block in (2 * cut.lanes, cut.lanes) if block <= n]
        block = min(blocks, key=lambda block: -(-n // block) * block)
        budget = TRANSFORMED // (16 * (factors + O) * T * cut.itemsize)  # tile rows × images
        if budget < block:
            block = cut.lanes
        R = min(down, max(1, budget // block))
        R = -(-down // -(-down // R))  # as many for each group
        stride = R * T * block
        stride += cut.lanes if stride * cut.itemsize % 4096 == 0 else 0  # channels apart in the cache
        rows = np.arange(2 * down + 2) - top
        rows[(rows < 0) | (rows >= H)] = -1
        first, left_out = max(0, left), max(0, -left)  # columns of zeros before x, or of x left out
        channels = np.arange(factors)
        tiles = -(-stride // (2 * cut.lanes))
        piece = np.array([first, left_out, max(0, min(width - left_out, 2 * T + 2 - first))])
        taps, runs = np.stack([channels * stride, channels], 1), np.tile([0, factors], tiles)
        padded, lanes = -(-C // cut.lanes) * cut.lanes, cut.lanes
        row = padded // 2 if cut.half else padded
        planes = [_apart(size, lanes) for size in (O * row, factors * stride, O * stride)]
        U = 2 * ROWS * lanes + -(-C * (2 * R + 2) * (2 * T + 2) * block // lanes) * lanes
        V = U + 16 * planes[0]
        M = V + 16 * planes[1] + 2 * lanes
        kind = WinogradOfPairs if cut.half else cls
        return kind(
            x, y, W, b, C, H, width, O, Hy, Wy, *c.W_strides, c.flipped, rows, piece, taps, runs, tiles, block, R,
            stride, U, V, M, planes[0], planes[1], planes[2], relu,
        )  # fmt: skip

    def scratch(self, cut: Cut) -> int:
        return self.M + 16 * self.M_plane + 2 * cut.lanes

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        scratch = view(frame.scratch, like)
        _convolve(op, n, frame, like, scratch[op.U :], scratch[op.V :], 1)


@step
class WinogradOfPairs(Winograd):
    """The same, of products in bfloat16: U and V hold pairs of channels, so that C counts half."""

    subroutine: Subroutine = TILES_OF_PAIRS

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        U, V = view(frame.scratch, HALF)[2 * op.U :], view(frame.scratch, SINGLE)[op.V :]
        _convolve(op, n, frame, like, U, V, 2)


@inner
def _convolve(op, n, frame, like, U, V, together):
    arena, theta, scratch = view(frame.arena, like), view(frame.theta, like), view(frame.scratch, like)
    tables, size = view(frame.tables, SINGLE), arena.itemsize
    C, H, W, O, Hy, Wy = op.C, op.H, op.width, op.O, op.Hy, op.Wy
    T, block, R, stride = (Wy + 1) // 2, op.block, op.R, op.stride
    lines, line, lanes = 2 * R + 2, (2 * T + 2) * block, VECTOR_BYTES // size
    rows, pieces = tables[op.rows :], tables[op.piece : op.piece + 3].reshape(1, 3)
    x = arena[op.x : op.x + C * H * W * n]
    strip, M = scratch[2 * ROWS * lanes :], scratch[op.M :]
    padded = -(-C // lanes) * lanes
    _filters(theta, op.W, op.W_row, op.W_channel, op.flipped != 0, U, together * op.U_plane, C, O, padded)
    for begin in range(0, n, block):
        start = min(begin, n - block)  # the last block repeats images of the one before rather than be cut
        for first in range(0, (Hy + 1) // 2, R):
            count = min(R, (Hy + 1) // 2 - first)
            r0, r1 = 2 * first, 2 * (first + count) + 2
            fill(strip, 0, x, 0, C, (C, H, W, n), start, rows, r0, r1, pieces, lines, line, block, True)
            _spread(strip, V, op.V_plane, C, together, lines, line, count, T, block, stride, lanes)
            for k in range(16):
                call(op.subroutine, (
                    V.ctypes.data + k * op.V_plane * size, U.ctypes.data + k * op.U_plane * size,
                    frame.tables + op.taps * 4, frame.tables + op.runs * 4, frame.scratch,
                    M.ctypes.data + k * op.M_plane * size, frame.scratch,
                    0, padded // together, op.tiles, stride, 1, stride, 0, stride, 0, 1, 0, O, 0, FROM_ZERO, 0,
                ))  # fmt: skip
            for o in range(O):
                bias = theta[op.b + o] if op.b >= 0 else theta.dtype.type(0)
                for t in range(count):
                    i = 2 * (first + t)
                    to = op.y + (o * Hy + i) * Wy * n + start
                    for j in range(T):
                        gather_tile(
                            M, o * stride + (t * T + j) * block, op.M_plane, arena, to + 2 * j * n, n, Wy * n,
                            i + 1 < Hy, 2 * j + 1 < Wy, bias, op.relu != 0, block // lanes,
                        )  # fmt: skip


def _apart(size: int, lanes: int) -> int:
    """The distance of planes of `size` numbers: an odd number of vectors, that none may share the cache's sets."""
    vectors = -(-size // lanes)
    return (vectors + 1 - vectors % 2) * lanes


@inner
def _filters(theta, W, row, channel, flipped, U, plane, C, O, padded):
    """U = G g Gᵀ for every filter and channel."""
    g = np.zeros(9 * padded, theta.dtype)
    lanes = VECTOR_BYTES // theta.itemsize
    for o in range(O):
        for c in range(C):
            at = W + o * row + c * channel
            for t in range(9):
                g[t * padded + c] = theta[at + 8 - t] if flipped else theta[at + t]
        spread_filter(g, padded, U, o * padded, plane, padded // lanes)


@inner
def _spread(strip, V, plane, C, together, lines, line, count, T, block, stride, lanes):
    """V = Bᵀ d B for every channel, or pair of channels, and tile."""
    for c in range(0, C, together):
        other = lines * line if c + 1 < C else 0  # what has no second channel has a U of zero for it
        for t in range(count):
            at = (c * lines + 2 * t) * line
            for j in range(T):
                spread_tile(
                    strip, at + 2 * j * block, other, block, line, V, c // together * stride + (t * T + j) * block,
                    plane, block // lanes,
                )  # fmt: skip


@intrinsic
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
                    value = value if U.dtype == g.dtype else e.narrow(value)
                    e.store(value, e.at(U, U_, to_, c, builder.mul(plane_, INDEX(4 * r + s))))
        return context.get_dummy_value()

    i = types.int64
    return types.void(g, i, U, i, i, i), emit


@intrinsic
def spread_tile(_, x, at, other, column, row, V, to, plane, vectors):
    """V[k · plane + to + ·] = Bᵀ d B, element k of 16, for the pixels x[at + r · row + s · column + ·].

    Where V counts in int32, it is this and the same for the pixels `other` further on, as a pair in bfloat16.
    """

    def emit(context, builder, signature, args):
        x_, at_, other_, column_, row_, V_, to_, plane_, vectors_ = args
        e = Emitter(context, builder, x.dtype)

        def rows_of_b(d):
            return [
                builder.fsub(d[0], d[2]), builder.fadd(d[1], d[2]), builder.fsub(d[2], d[1]), builder.fsub(d[1], d[3])
            ]  # fmt: skip

        def transformed(first):
            d = [
                [
                    e.load(e.at(None, first, builder.mul(row_, INDEX(r)), builder.mul(column_, INDEX(s))))
                    for r in range(4)
                ]
                for s in range(4)
            ]  # by columns
            half = [rows_of_b(column) for column in d]
            return [rows_of_b([half[column][r] for column in range(4)]) for r in range(4)]

        with e.loop(vectors_) as i:
            m = builder.mul(i.index, INDEX(e.lanes))
            first = e.at(x, x_, at_, m)
            found = transformed(first)
            if V.dtype != x.dtype:
                second = transformed(e.at(None, first, other_))
                found = [
                    [e.pair(*both) for both in zip(*rows, strict=True)] for rows in zip(found, second, strict=True)
                ]
            for r in range(4):
                for s in range(4):
                    e.store(found[r][s], e.at(V, V_, to_, m, builder.mul(plane_, INDEX(4 * r + s))))
        return context.get_dummy_value()

    i = types.int64
    return types.void(x, i, i, i, i, V, i, i, i), emit


@intrinsic
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
                    value = e.rectified(builder.fadd(outputs[r][s], bias_vector), relu_)
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
