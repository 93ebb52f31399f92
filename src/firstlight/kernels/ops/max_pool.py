"""Max pooling: the largest of each window; dx is dy at the place of the (first) largest."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from llvmlite import ir
from numba import types

from firstlight.kernels import Padding, Pair
from firstlight.kernels._interpreter import BYTE, view
from firstlight.kernels._jit import inner
from firstlight.kernels._vectors import INDEX, VECTOR_BYTES, Emitter, intrinsic
from firstlight.kernels.graph import Graph, NotRecordedError
from firstlight.kernels.operation import Cut, Memory, Part, Step, Value, operation, step
from firstlight.kernels.ops.window import Window, window_of, windows_of_tap

# Pixels of a window: which of them won is a byte.
LARGEST = 256
# What a tap takes in vector instructions, for one image alone, and in the loop over fewer images than a vector's lanes.
ALONE, ONE_BY_ONE = 3, 25


@operation
def max_pool(graph: Graph, x: Value, size: Pair, stride: Pair, padding: Padding) -> Value:
    """See `Kernels.max_pool`. Of rectified values the largest is rectified instead, which are fewer."""
    if math.prod(size) > LARGEST:
        raise NotRecordedError(f"{graph.path} (a window of more than {LARGEST} pixels)")
    x, relu = graph.unrectified(x)
    window = window_of(x.shape, size, stride, padding)
    y = graph.value((x.shape[0], *window[3:5]), x.requires_grad, may_overwrite=not relu)
    where = Value(y.shape, Memory(y.size, small=True))
    graph.append(MaxPool(*window, x, y, where, relu))

    def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
        dx = graph.value(x.shape)
        graph.append(MaxPoolBack(*window, dx, dy, where, relu, y))
        return ((x, dx),)

    graph.on_backward(y, backward)
    return y


@step
class MaxPool(Window):
    """y, and where each window's winner lies in it."""

    x: Value | Part
    y: Value | Part
    where: Value | Part
    relu: bool

    def ready(self, cut: Cut) -> Step:
        """Of one image alone, nobody asks who won."""
        if cut.n > 1 or cut.training:
            return self
        return MaxPoolOfOne(
            self.C, self.H, self.width, self.Hy, self.Wy, self.kh, self.kw, self.sh, self.sw, self.top, self.left,
            self.x, self.y, self.relu,
        )  # fmt: skip

    def effort(self, n: int, lanes: int) -> int:
        return self.C * self.Hy * self.Wy * self.kh * self.kw * (ALONE if n == 1 else n * ONE_BY_ONE)

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena, where = view(frame.arena, like), view(frame.winners, BYTE)
        C, H, W, Hy, Wy, kh, kw = op.C, op.H, op.width, op.Hy, op.Wy, op.kh, op.kw
        sh, sw, top, left, relu = op.sh, op.sw, op.top, op.left, op.relu != 0
        lanes = VECTOR_BYTES // arena.itemsize
        four = kh == 2 and kw == 2 and top == 0 and left == 0 and (Hy - 1) * sh + 2 <= H and (Wy - 1) * sw + 2 <= W
        done = n // lanes * lanes if four else 0  # images; the rest of them one by one
        x, y, at = op.x, op.y, op.where
        for c in range(C):
            for i in range(Hy):
                if done:
                    upper, row = x + (c * H + i * sh) * W * n, (c * Hy + i) * Wy * n
                    largest_of_four(arena, upper, upper + W * n, sw * n, y + row, where, at + row, relu, Wy, n, done)
                if done == n:
                    continue
                r0, r1 = max(0, top - i * sh), min(kh, H + top - i * sh)
                for j in range(Wy):
                    to = ((c * Hy + i) * Wy + j) * n
                    corner = x + ((c * H + i * sh - top) * W + j * sw - left) * n
                    s0, s1 = max(0, left - j * sw), min(kw, W + left - j * sw)
                    for m in range(done, n):
                        best, tap = -np.inf * arena.dtype.type(1), r0 * kw + s0
                        for r in range(r0, r1):
                            for s in range(s0, s1):
                                v = arena[corner + (r * W + s) * n + m]
                                if v > best or (v != v and best == best):
                                    best, tap = v, r * kw + s
                        arena[y + to + m] = arena.dtype.type(0) if relu and best < 0 else best
                        where[at + to + m] = tap


@step
class MaxPoolBack(Window):
    """dx: dy at each window's winner; where y was rectified, of what is above zero."""

    dx: Value | Part
    dy: Value | Part
    where: Value | Part
    relu: bool
    y: Value | Part

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena, where = view(frame.arena, like), view(frame.winners, BYTE)
        C, H, W, Hy, Wy, kh, kw = op.C, op.H, op.width, op.Hy, op.Wy, op.kh, op.kw
        sh, sw, top, left, relu = op.sh, op.sw, op.top, op.left, op.relu != 0
        lanes = VECTOR_BYTES // arena.itemsize
        four = kh == 2 and kw == 2 and sh == 2 and sw == 2 and top == 0 and left == 0 and 2 * Hy <= H and 2 * Wy <= W
        done = n // lanes * lanes if four else 0
        dx, dy, at, y = op.dx, op.dy, op.where, op.y
        if done < n or 2 * Hy < H or 2 * Wy < W:
            arena[dx : dx + C * H * W * n] = 0
        for c in range(C):
            for i in range(Hy):
                if done:
                    upper, row = dx + (c * H + i * 2) * W * n, (c * Hy + i) * Wy * n
                    back_to_four(
                        arena, upper, upper + W * n, 2 * n, dy + row, y + row, where, at + row, relu, Wy, n, done
                    )
                if done == n:
                    continue
                for j in range(Wy):
                    share = ((c * Hy + i) * Wy + j) * n
                    corner = dx + ((c * H + i * sh - top) * W + j * sw - left) * n
                    for m in range(done, n):
                        if not relu or arena[y + share + m] > 0:
                            r, s = divmod(np.int64(where[at + share + m]), kw)
                            arena[corner + (r * W + s) * n + m] += arena[dy + share + m]


@step
class MaxPoolOfOne(Window):
    """y of one image alone: what elsewhere has its vectors along the images has them along a row of windows."""

    x: Value | Part
    y: Value | Part
    relu: bool

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena = view(frame.arena, like)
        C, H, W, Hy, Wy, kh, kw = op.C, op.H, op.width, op.Hy, op.Wy, op.kh, op.kw
        sh, sw, top, left, relu = op.sh, op.sw, op.top, op.left, op.relu != 0
        least, lanes = arena.dtype.type(0 if relu else -np.inf), VECTOR_BYTES // arena.itemsize
        # A vector may reach into the next row, which comes later.
        whole, end = -(-Wy // lanes) * lanes, op.y + C * Hy * Wy
        four = kh == 2 and kw == 2 and sw == 2 and top == 0 and left == 0 and (Hy - 1) * sh + 2 <= H and 2 * Wy <= W
        for c in range(C):
            for i in range(Hy):
                y = arena[op.y + (c * Hy + i) * Wy : op.y + (c * Hy + i + 1) * Wy]
                if four:
                    row = op.x + (c * H + i * sh) * W
                    to = op.y + (c * Hy + i) * Wy
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
                    row = op.x + (c * H + i * sh - top + r) * W
                    x = arena[row : row + W]
                    for s in range(kw):
                        first, end = windows_of_tap(s, sw, left, W, Wy)
                        for j in range(first, end):
                            y[j] = _larger(y[j], x[j * sw + s - left])


@intrinsic(prefer_literal=True)
def largest_of_four(_, x, upper, lower, step, y, where, at, relu, windows, n, done):
    """y = the (first) largest of 2×2 pixels, and which it was; NaN beats every number.

    For a row of windows, `step` apart in the rows of pixels at x[upper] and x[lower], the first `done` of n images of
    each, which are whole vectors; y goes to x[y + ·], which one to where[at + ·].
    """

    def emit(context, builder, signature, args):
        e = Emitter(context, builder, x.dtype)
        x_, upper_, lower_, step_, y_, where_, at_, relu_, windows_, n_, done_ = args
        byte = ir.IntType(8)

        def larger(v, v_at, best, best_at):
            wins = builder.and_(builder.fcmp_unordered(">", v, best), builder.fcmp_ordered("==", best, best))
            return builder.select(wins, v, best), builder.select(wins, v_at, best_at)

        numbers = [ir.Constant(ir.VectorType(byte, e.lanes), [k] * e.lanes) for k in range(4)]
        with e.loop(windows_) as j:
            seen, window = builder.mul(j.index, step_), builder.mul(j.index, n_)
            with e.loop(builder.udiv(done_, INDEX(e.lanes))) as i:
                m = builder.mul(i.index, INDEX(e.lanes))
                taps = [e.at(x, x_, row, seen, m, *right) for row in (upper_, lower_) for right in ((), (n_,))]
                v = [(e.load(tap), number) for tap, number in zip(taps, numbers, strict=True)]
                best, tap = larger(*larger(*v[3], *v[2]), *larger(*v[1], *v[0]))
                e.store(e.rectified(best, relu_), e.at(x, x_, y_, window, m))
                address = e.at(where, where_, at_, window, m)
                builder.store(tap, builder.bitcast(address, ir.VectorType(byte, e.lanes).as_pointer()), align=1)
        return context.get_dummy_value()

    i = types.intp
    return types.void(x, i, i, i, i, where, i, types.boolean, i, i, i), emit


@intrinsic(prefer_literal=True)
def back_to_four(_, x, upper, lower, step, dy, y, where, at, relu, windows, n, done):
    """The way back of `largest_of_four`: dy to the pixel that won, 0 to the others; with `relu` only where y > 0."""

    def emit(context, builder, signature, args):
        e = Emitter(context, builder, x.dtype)
        x_, upper_, lower_, step_, dy_, y_, where_, at_, relu_, windows_, n_, done_ = args
        bytes_ = ir.VectorType(ir.IntType(8), e.lanes)
        with e.loop(windows_) as j:
            seen, window = builder.mul(j.index, step_), builder.mul(j.index, n_)
            with e.loop(builder.udiv(done_, INDEX(e.lanes))) as i:
                m = builder.mul(i.index, INDEX(e.lanes))
                share = e.load(e.at(x, x_, dy_, window, m))
                passed = builder.fcmp_ordered(">", e.load(e.at(x, x_, y_, window, m)), e.zero)
                share = builder.select(relu_, builder.select(passed, share, e.zero), share)
                winner = builder.bitcast(e.at(where, where_, at_, window, m), bytes_.as_pointer())
                won = builder.load(winner, align=1)
                taps = [e.at(x, x_, row, seen, m, *right) for row in (upper_, lower_) for right in ((), (n_,))]
                for k, tap in enumerate(taps):
                    here = builder.icmp_unsigned("==", won, ir.Constant(bytes_, [k] * e.lanes))
                    e.store(builder.select(here, share, e.zero), tap)
        return context.get_dummy_value()

    i = types.intp
    return types.void(x, i, i, i, i, i, where, i, types.boolean, i, i, i), emit


@inner
def _larger(best, v):
    """The larger one; NaN beats every number."""
    return v if (v > best) | (v != v) else best


@intrinsic
def _largest_of_pairs(_, x, upper, lower, to, least, vectors):
    """x[to + j] = the largest of x[upper + 2j], x[upper + 2j + 1], the same of `lower`, and `least`, as `_larger`."""

    def emit(context, builder, signature, args):
        x_, upper_, lower_, to_, least_, vectors_ = args
        e = Emitter(context, builder, x.dtype)
        even, odd = map(e.every_other, (0, 1))

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
