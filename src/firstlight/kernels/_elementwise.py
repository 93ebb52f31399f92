"""Activations in compiled loops: y = f(x), and dy ← dy · f′ told from y, so that x need not be kept; sums; the largest.

In float32 the exponential is a polynomial that compilers turn into vectors: eˣ − 1 = 2ᵏ q + (2ᵏ − 1) with
x = k ln 2 + r, |r| ≤ ln 2 / 2, and q the Taylor series of eʳ − 1; its error is a few units in the last place.
"""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as _numba_intrinsic
from numba.extending import overload

from firstlight.kernels._jit import inner
from firstlight.kernels._tiles import INDEX, VECTOR_BYTES, Emitter

_intrinsic: Any = _numba_intrinsic

RELU, LEAKY, ELU, SELU, SIGMOID, TANH, GELU = range(7)

SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


@_intrinsic
def _expm1_single(_, x):
    """eˣ − 1 in float32, without a branch, so that loops become vectors; NaN stays."""

    def emit(context, builder, signature, args):
        real, whole = ir.FloatType(), ir.IntType(32)

        def number(value):
            return ir.Constant(real, float(np.float32(value)))

        def fused(a, b, c):
            kind = ir.FunctionType(real, [real] * 3)
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.fmuladd.f32"), [a, b, c])

        low, high = number(-87), number(87)
        v = builder.select(builder.fcmp_ordered("<", args[0], low), low, args[0])
        v = builder.select(builder.fcmp_ordered(">", v, high), high, v)
        nearest = cgutils.get_or_insert_function(builder.module, ir.FunctionType(real, [real]), "llvm.floor.f32")
        k = builder.call(nearest, [fused(v, number(1 / math.log(2)), number(0.5))])
        # ln 2 in two parts, the first of which times k is exact.
        r = fused(k, number(2.12194440e-4), fused(k, number(-0.693359375), v))
        q = number(1 / 5040)
        for factor in (720, 120, 24, 6, 2, 1):
            q = fused(q, r, number(1 / factor))
        bits = builder.shl(builder.add(builder.fptosi(k, whole), whole(127)), whole(23))  # 2ᵏ: k is its exponent
        power = builder.bitcast(bits, real)
        found = fused(power, builder.fmul(q, r), builder.fsub(power, number(1)))
        return builder.select(builder.fcmp_unordered("uno", args[0], args[0]), args[0], found)

    return types.float32(types.float32), emit


def expm1(x):
    """eˣ − 1."""
    return math.expm1(x)


@overload(expm1)
def _expm1(x):
    return (lambda x: _expm1_single(x)) if x == types.float32 else (lambda x: math.expm1(x))


@inner
def activation(kind, x, a):
    """x ← f(x) for the activation `kind`, with its constant a, in place: what may overlap becomes no vectors."""
    real = x.dtype.type
    zero, one, two, a = real(0), real(1), real(2), real(a)
    n = len(x)
    if kind == RELU:
        for i in range(n):
            x[i] = zero if x[i] < zero else x[i]
    elif kind == LEAKY:
        for i in range(n):
            x[i] = x[i] if x[i] > zero else a * x[i]
    elif kind == ELU:
        for i in range(n):
            low = a * expm1(x[i])
            x[i] = x[i] if x[i] > zero else low
    elif kind == SELU:
        rise, fall = real(SELU_SCALE), real(SELU_SCALE * SELU_ALPHA)
        for i in range(n):
            low = fall * expm1(x[i])
            x[i] = rise * x[i] if x[i] > zero else low
    elif kind == GELU:
        for i in range(n):
            x[i] = x[i] * real(0.5 * math.erfc(-x[i] * math.sqrt(0.5)))
    elif kind == SIGMOID:
        for i in range(n):
            x[i] = one / (two + expm1(-x[i]))
    elif kind == TANH:
        for i in range(n):
            # Of the magnitude, so that nothing overflows or cancels.
            e = expm1(-two * abs(x[i]))
            v = -e / (e + two)
            x[i] = v if x[i] >= zero else -v


@inner
def rectified(y, dy):
    """dy where y > 0, else 0."""
    zero = y.dtype.type(0)
    for i in range(len(y)):
        dy[i] = dy[i] if y[i] > zero else zero


@inner
def activation_gradient(kind, y, dy, a):
    """dy ← dy · f′(x), told from y = f(x); of GELU from y = x."""
    real = y.dtype.type
    zero, one, a = real(0), real(1), real(a)
    n = len(y)
    if kind == RELU:
        rectified(y, dy)
    elif kind == LEAKY:
        for i in range(n):
            dy[i] = dy[i] if y[i] > zero else a * dy[i]
    elif kind == ELU:
        for i in range(n):
            dy[i] = dy[i] if y[i] > zero else dy[i] * (y[i] + a)
    elif kind == SELU:
        rise, fall = real(SELU_SCALE), real(SELU_SCALE * SELU_ALPHA)
        for i in range(n):
            dy[i] = dy[i] * (rise if y[i] > zero else y[i] + fall)
    elif kind == GELU:
        for i in range(n):
            density = math.exp(-0.5 * y[i] * y[i]) / math.sqrt(2 * math.pi)
            dy[i] = dy[i] * real(0.5 * math.erfc(-y[i] * math.sqrt(0.5)) + y[i] * density)
    elif kind == SIGMOID:
        for i in range(n):
            dy[i] = dy[i] * y[i] * (one - y[i])
    elif kind == TANH:
        for i in range(n):
            dy[i] = dy[i] * (one - y[i] * y[i])


@inner
def add_to(x, a, b, length):
    """x[b + ·] += x[a + ·]."""
    seen, to = x[a : a + length], x[b : b + length]
    for i in range(length):
        to[i] += seen[i]


# Partial sums of so many numbers, however alike these are, stay within 8e-6 of exact ones in float32.
PART = 128


@inner
def total(x, at, length):
    """Σ x[at : at + length]."""
    step = 4 * VECTOR_BYTES // x.itemsize
    whole = length // step
    found = 0.0
    for first in range(0, whole, PART):
        start = at + first * step
        found += _vector_total(x, start, start, x.dtype.type(0), x.dtype.type(1), min(PART, whole - first), False)
    for i in range(at + whole * step, at + length):
        found += x[i]
    return x.dtype.type(found)


@inner
def total_of_products(x, a, a0, b, b0, length):
    """Σ (x[a + i] − a0) (x[b + i] − b0) over `length`."""
    step = 4 * VECTOR_BYTES // x.itemsize
    whole = length // step
    found = 0.0
    for first in range(0, whole, PART):
        found += _vector_total(x, a + first * step, b + first * step, a0, b0, min(PART, whole - first), True)
    for i in range(whole * step, length):
        found += (x[a + i] - a0) * (x[b + i] - b0)
    return x.dtype.type(found)


@_intrinsic(prefer_literal=True)
def _vector_total(_, x, a, b, a0, b0, count, products):
    """The sum of `count` times four vectors from x[a], or of the products of what they and those from x[b] exceed."""
    multiply = products.literal_value

    def emit(context, builder, signature, args):
        e = Emitter(context, builder, x.dtype)
        x_, a_, b_, a0_, b0_, count_, _ = args
        first, second = e.at(x, x_, a_), e.at(x, x_, b_)
        middle, other = e.spread(a0_), e.spread(b0_)
        sums = [e.register(e.zero) for _ in range(4)]
        with e.loop(count_) as i:
            start = builder.mul(i.index, INDEX(4 * e.lanes))
            for k, slot in enumerate(sums):
                value = e.load(e.at(None, first, start, k * e.lanes))
                if multiply:
                    factor = builder.fsub(e.load(e.at(None, second, start, k * e.lanes)), other)
                    e.accumulate(slot, builder.fsub(value, middle), factor)
                else:
                    builder.store(builder.fadd(builder.load(slot), value), slot)
        each = [e.extract(found, lane) for found in e.totals(sums) for lane in range(e.lanes)]
        found = each[0]
        for one in each[1 : len(sums)]:  # of wider vectors the other lanes are zero
            found = builder.fadd(found, one)
        return found

    i = types.intp
    return x.dtype(x, i, i, x.dtype, x.dtype, i, products), emit


@_intrinsic(prefer_literal=True)
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
                cut = builder.select(builder.fcmp_ordered("<", best, e.zero), e.zero, best)
                e.store(builder.select(relu_, cut, best), e.at(x, x_, y_, window, m))
                address = e.at(where, where_, at_, window, m)
                builder.store(tap, builder.bitcast(address, ir.VectorType(byte, e.lanes).as_pointer()), align=1)
        return context.get_dummy_value()

    i = types.intp
    return types.void(x, i, i, i, i, where, i, types.boolean, i, i, i), emit


@_intrinsic(prefer_literal=True)
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


# Images and bytes of a block of `turned`.
SIDE = 16


@_intrinsic
def turned(_, pixels, index, first, length, at, block):
    """block[k · SIDE + i] = pixels[index[first + i] · length + at + k]: SIDE bytes of as many images, transposed."""

    def emit(context, builder, signature, args):
        pixels_, index_, first_, length_, at_, block_ = args
        kind = ir.VectorType(ir.IntType(8), SIDE)
        bytes_ = context.make_array(pixels)(context, builder, pixels_).data
        indices = context.make_array(index)(context, builder, index_).data
        rows = []
        for i in range(SIDE):
            image = builder.load(builder.gep(indices, [builder.add(first_, INDEX(i))]))
            address = builder.gep(bytes_, [builder.add(builder.mul(image, length_), at_)])
            rows.append(builder.load(builder.bitcast(address, kind.as_pointer()), align=1))
        # Four perfect shuffles of sixteen rows make columns of them.
        halves = [
            ir.Constant(ir.VectorType(ir.IntType(32), SIDE), [n // 2 + half + n % 2 * SIDE for n in range(SIDE)])
            for half in (0, SIDE // 2)
        ]
        for _ in range(4):
            pairs = zip(rows[: SIDE // 2], rows[SIDE // 2 :], strict=True)
            rows = [builder.shuffle_vector(a, b, half) for a, b in pairs for half in halves]
        to = context.make_array(block)(context, builder, block_).data
        for k, row in enumerate(rows):
            address = builder.gep(to, [INDEX(k * SIDE)])
            builder.store(row, builder.bitcast(address, kind.as_pointer()), align=1)
        return context.get_dummy_value()

    i = types.int64
    return types.void(pixels, index, i, i, i, block), emit
