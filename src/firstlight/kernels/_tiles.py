"""The loops under every convolution: two register tiles over the contiguous (column, image) axis.

The batch is last, so along a row of outputs, m = (j, n), every tap reads one contiguous run of x, shifted by its
column. A convolution and its gradients are therefore sums of products whose operands lie as the image lies:

    tile  y[o : o + rows, m : m + 2 vectors] = b + Σ_k W[o, k] · x[read(k) + m]     forward and dx
    dot   dW[o : o + rows, k : k + TAPS]    += Σ_m dy[o, m] · x[read(k) + m]        dW

They are written as vector instructions, because no compiler keeps such tiles in registers by itself. Strips copied
from x (see `_plan`) give them zeros where the padding is, memory in a second-level cache, and channels that do not lie
a power of two apart. That reaches a core's peak at one channel and at a hundred, so no layer goes to BLAS: with
AVX-512 one core's tile ran at 115 GFLOP/s from 150 taps up, where OpenBLAS's product of 1024² matrices ran at 85.

"""

# Numba infers the types of compiled functions, and O is the number of filters.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import numpy as np
from numba import types

from firstlight.kernels._interpreter import HALF, SINGLE, view
from firstlight.kernels._jit import inner
from firstlight.kernels._vectors import INDEX, VECTOR_BYTES, Emitter, PairEmitter, clear, copy, intrinsic
from firstlight.kernels.operation import Subroutine

# A tile of 8 × 2 vectors takes 16 of 32 registers (AVX-512, NEON), of 6 × 2 takes 12 of 16 (AVX2).
ROWS = 6 if VECTOR_BYTES == 32 else 8
DOT_ROWS = 2 if VECTOR_BYTES == 32 else 4
TAPS = 4
# The vectors that a dot adds up in one sum: an error of float32 that only grew would then be 2e-5 at most.
LONGEST = 512
# What a tile's sum begins with, or is added to (FROM_TARGET): a sum of many parts keeps more digits so.
FROM_BIAS, FROM_ZERO, FROM_TARGET = 0, 1, 2


@inner
def tiles_of_strip(
    strip, step, W, W_row, taps, runs, tiles, bias, y, y_shape, images, rows, channels, scratch, edge, start, relu
):  # fmt: skip
    """The outputs of `rows` and `channels` for a block of images, from a strip whose rows lie `step` apart.

    y_shape      (plane, Wy, N): of y (O, Hy, Wy, N) the distance of its channels, and its last two
    runs, tiles  the first and the end of the taps of each tile, one after another, of which a row has so many
    scratch, edge  an array, and where in it a tile that reaches beyond its row may be written
    start        FROM_BIAS, FROM_ZERO or FROM_TARGET: what a sum begins with
    """
    plane, Wy, N = y_shape
    (n0, block), (i0, i1), (o, end) = images, rows, channels
    lanes = VECTOR_BYTES // y.itemsize
    width = 2 * lanes
    while o < end:
        # A row that fits one vector takes twice the rows at a time, for as many sums.
        slim = Wy * block <= lanes
        tall = _tall(min(2 * ROWS if slim else ROWS, end - o))
        for i in range(i0, i1):
            for t in range(tiles):
                m = t * width
                if block == N:
                    to, valid = i * Wy * N + m, Wy * N - m
                else:
                    to, valid = (i * Wy + m // block) * N + n0 + m % block, N - n0 - m % block
                if valid <= 0:
                    continue
                columns = lanes if valid <= lanes else width
                inside = valid >= columns
                if inside:
                    target = y.ctypes.data + (o * plane + to) * y.itemsize
                else:
                    target = scratch.ctypes.data + edge * y.itemsize
                    if start == FROM_TARGET:
                        for r in range(tall):
                            copy(scratch, edge + r * columns, y, (o + r) * plane + to, valid)
                _tile(
                    tall, columns == lanes, strip, (i - i0) * step + m, W, o * W_row, W_row, taps,
                    runs[2 * (i * tiles + t)], runs[2 * (i * tiles + t) + 1], bias, o, target,
                    plane if inside else columns, start, relu,
                )  # fmt: skip
                if not inside:
                    for r in range(tall):
                        copy(y, (o + r) * plane + to, scratch, edge + r * columns, valid)
        o += tall


def _tiles(
    strip, W, taps, runs, bias, y, scratch, step, W_row, tiles, plane, Wy, N, n0, block, i0, i1, o, end, edge, start,
    relu, like,
):  # fmt: skip
    tiles_of_strip(
        view(strip, like), step, view(W, like), W_row, view(taps, SINGLE), view(runs, SINGLE), tiles, view(bias, like),
        view(y, like), (plane, Wy, N), (n0, block), (i0, i1), (o, end), view(scratch, like), edge, start, relu != 0,
    )  # fmt: skip


# `tiles_of_strip` for the steps of programs: the first seven arguments are addresses.
TILES = Subroutine(_tiles, 22)


def _tiles_of_pairs(
    strip, W, taps, runs, bias, y, scratch, step, W_row, tiles, plane, Wy, N, n0, block, i0, i1, o, end, edge, start,
    relu, like,
):  # fmt: skip
    tiles_of_strip(
        view(strip, SINGLE), step, view(W, SINGLE), W_row, view(taps, SINGLE), view(runs, SINGLE), tiles,
        view(bias, like), view(y, like), (plane, Wy, N), (n0, block), (i0, i1), (o, end), view(scratch, like), edge,
        start, relu != 0,
    )  # fmt: skip


# The same for factors in bfloat16: each number of the strip and of W is a pair of channels, and counts once.
TILES_OF_PAIRS = Subroutine(_tiles_of_pairs, 22)


@inner
def dots_of_strip(strip, step, y, y_row, y_line, reads, channels, K, lines, length, dW):
    """dW += the sums over `lines` rows of `length`, for the channels of dy whose first lies at the address y."""
    lanes = VECTOR_BYTES // strip.itemsize
    found = np.empty(max(DOT_ROWS * TAPS, lanes), dW.dtype)
    vectors = -(-length // lanes)
    # A lane's sum that grows too long loses digits: it is then taken up in several parts.
    few = max(1, LONGEST // vectors)
    o0, end = channels
    o = o0
    while o < end:
        tall = _tall(min(DOT_ROWS, end - o))
        for k in range(0, K, TAPS):
            for i in range(0, lines, few):
                at = y + ((o - o0) * y_row + i * y_line) * strip.itemsize
                dot(tall, at, y_row, y_line, strip[i * step :], step, reads, k, min(few, lines - i), vectors, found)
                for r in range(tall):
                    for q in range(min(TAPS, K - k)):
                        dW[(o + r) * K + k + q] += found[r * TAPS + q]
        o += tall


def _dots(strip, y, reads, dW, step, y_row, y_line, o0, end, K, lines, length, like):
    dots_of_strip(
        view(strip, like), step, y, y_row, y_line, view(reads, SINGLE), (o0, end), K, lines, length, view(dW, like)
    )


# `dots_of_strip` for the steps of programs: the first four arguments are addresses.
DOTS = Subroutine(_dots, 12)


def _dots_of_halves(strip, y, reads, dW, step, y_row, y_line, o0, end, K, lines, length, like):
    dots_of_strip(
        view(strip, HALF), step, y, y_row, y_line, view(reads, SINGLE), (o0, end), K, lines, length, view(dW, like)
    )


# The same for factors in bfloat16.
DOTS_OF_HALVES = Subroutine(_dots_of_halves, 12)


@inner
def fill(strip, at, x, c0, c1, shape, n0, rows, r0, r1, pieces, lines, line, block, zeros):
    """Copy `block` images from n0 of channels c0:c1 and rows[r0:r1] into the strip; `zeros` where there is no pixel."""
    _, H, W, N = shape
    images = min(block, N - n0)
    for c in range(c0, c1):
        for r in range(r0, r1):
            to = at + ((c - c0) * lines + r - r0) * line
            if zeros:
                clear(strip, to, line)
            if rows[r] >= 0:
                origin = (c * H + rows[r]) * W * N + n0
                for p in range(len(pieces)):
                    first, column, count = pieces[p, 0], pieces[p, 1], pieces[p, 2]
                    if images == N:
                        copy(strip, to + first * N, x, origin + column * N, count * N)
                    else:
                        for j in range(count):
                            copy(strip, to + (first + j) * block, x, origin + (column + j) * N, images)


@inner
def _tall(rows):
    """The tallest tile that `rows` fill."""
    return 16 if rows >= 16 else 8 if rows >= 8 else 6 if rows >= 6 else 4 if rows >= 4 else 2 if rows >= 2 else 1


@inner
def _tile(tall, slim, strip, at, W, w, W_row, taps, first, end, bias, o, target, step, start, relu):
    if slim:
        if tall == 16:
            _register_tile(16, 1, strip, at, W, w, W_row, taps, first, end, bias, o, target, step, start, relu)
        elif tall == 8:
            _register_tile(8, 1, strip, at, W, w, W_row, taps, first, end, bias, o, target, step, start, relu)
        elif tall == 6:
            _register_tile(6, 1, strip, at, W, w, W_row, taps, first, end, bias, o, target, step, start, relu)
        elif tall == 4:
            _register_tile(4, 1, strip, at, W, w, W_row, taps, first, end, bias, o, target, step, start, relu)
        elif tall == 2:
            _register_tile(2, 1, strip, at, W, w, W_row, taps, first, end, bias, o, target, step, start, relu)
        else:
            _register_tile(1, 1, strip, at, W, w, W_row, taps, first, end, bias, o, target, step, start, relu)
    elif tall == 8:
        _register_tile(8, 2, strip, at, W, w, W_row, taps, first, end, bias, o, target, step, start, relu)
    elif tall == 6:
        _register_tile(6, 2, strip, at, W, w, W_row, taps, first, end, bias, o, target, step, start, relu)
    elif tall == 4:
        _register_tile(4, 2, strip, at, W, w, W_row, taps, first, end, bias, o, target, step, start, relu)
    elif tall == 2:
        _register_tile(2, 2, strip, at, W, w, W_row, taps, first, end, bias, o, target, step, start, relu)
    else:
        _register_tile(1, 2, strip, at, W, w, W_row, taps, first, end, bias, o, target, step, start, relu)


@inner
def dot(tall, y, y_row, y_line, strip, x_line, reads, k, lines, vectors, found):
    if tall == 4:
        _register_dot(4, y, y_row, y_line, strip, x_line, reads, k, lines, vectors, found)
    elif tall == 2:
        _register_dot(2, y, y_row, y_line, strip, x_line, reads, k, lines, vectors, found)
    else:
        _register_dot(1, y, y_row, y_line, strip, x_line, reads, k, lines, vectors, found)


@intrinsic(prefer_literal=True)
def _register_tile(_, rows, columns, strip, at, W, w, W_row, taps, first, end, bias, o, target, step, start, relu):
    """target[r · step + m] = start + Σ over taps[first:end] of W[w + r · W_row + ·] · strip[at + · + m].

    `target` is an address, with space for `columns` vectors in each row; the sum begins with bias[o + r] (FROM_BIAS),
    with nothing, or is added to what is there. `relu` cuts what is below zero.
    """

    def emit(context, builder, signature, args):
        _, _, strip_, at_, W_, w_, W_row_, taps_, first_, end_, bias_, o_, target_, step_, start_, relu_ = args
        e = Emitter(context, builder, bias.dtype)
        factors = e if strip.dtype == bias.dtype else PairEmitter(context, builder, strip.dtype)
        seen, weights, starts = e.at(strip, strip_, at_), e.at(W, W_, w_), e.at(bias, bias_, o_)
        pairs = e.at(taps, taps_, builder.shl(first_, INDEX(1)))
        y = builder.inttoptr(target_, e.scalar.as_pointer())
        targets = [[e.at(None, y, builder.mul(step_, INDEX(r)), v * e.lanes) for v in range(wide)] for r in range(tall)]
        sums = [[e.register(e.zero) for _ in range(wide)] for _ in range(tall)]
        with builder.if_then(builder.icmp_signed("==", start_, INDEX(FROM_BIAS))):
            for r in range(tall):
                for slot in sums[r]:
                    builder.store(e.splat(e.at(None, starts, r)), slot)
        with e.loop(builder.sub(end_, first_)) as k:
            pair = e.at(None, pairs, builder.shl(k.index, INDEX(1)))
            x, weight = e.at(None, seen, e.index(pair)), e.at(None, weights, e.index(e.at(None, pair, 1)))
            xs = [factors.load(e.at(None, x, v * e.lanes)) for v in range(wide)]
            for r in range(tall):
                value = factors.splat(e.at(None, weight, builder.mul(W_row_, INDEX(r))))
                for slot, x_v in zip(sums[r], xs, strict=True):
                    factors.accumulate(slot, value, x_v)
        with builder.if_then(builder.icmp_signed("==", start_, INDEX(FROM_TARGET))):
            for r in range(tall):
                for slot, address in zip(sums[r], targets[r], strict=True):
                    builder.store(builder.fadd(builder.load(slot), e.load(address)), slot)
        for r in range(tall):
            for slot, address in zip(sums[r], targets[r], strict=True):
                e.store(e.rectified(builder.load(slot), relu_), address)
        return context.get_dummy_value()

    tall, wide = rows.literal_value, columns.literal_value
    i = types.intp
    return types.void(rows, columns, strip, i, W, i, i, taps, i, i, bias, i, i, i, i, types.boolean), emit


@intrinsic(prefer_literal=True)
def _register_dot(_, rows, y, y_row, y_line, strip, x_line, reads, k, lines, vectors, found):
    """found[r, q] = Σ over lines and lanes of y[r · y_row + ·] · strip[reads[k + q] + ·]; `y` is an address."""

    def emit(context, builder, signature, args):
        _, y_, y_row_, y_line_, strip_, x_line_, reads_, k_, lines_, vectors_, found_ = args
        e = Emitter(context, builder, found.dtype)
        factors = e if strip.dtype == found.dtype else PairEmitter(context, builder, strip.dtype)
        dy, x = builder.inttoptr(y_, factors.scalar.as_pointer()), e.at(strip, strip_)
        sums = [[e.register(e.zero) for _ in range(TAPS)] for _ in range(tall)]
        starts = [e.index(e.at(reads, reads_, k_, q)) for q in range(TAPS)]
        with e.loop(lines_) as i:
            dy_i, x_i = e.at(None, dy, builder.mul(i.index, y_line_)), e.at(None, x, builder.mul(i.index, x_line_))
            with e.loop(vectors_) as v:
                m = builder.mul(v.index, INDEX(VECTOR_BYTES // factors.itemsize))
                dys = [factors.load(e.at(None, dy_i, m, builder.mul(y_row_, INDEX(r)))) for r in range(tall)]
                for q in range(TAPS):
                    x_q = factors.load(e.at(None, x_i, m, starts[q]))
                    for r in range(tall):
                        factors.accumulate(sums[r][q], dys[r], x_q)
        totals = e.totals([slot for row in sums for slot in row])
        for group, total in enumerate(totals):
            e.store(total, e.at(found, found_, group * e.lanes))
        return context.get_dummy_value()

    tall = rows.literal_value
    i = types.intp
    return types.void(rows, i, i, i, strip, i, reads, i, i, i, found), emit
