"""Vectors of numbers: the instructions that compiled loops are written in by hand, and sums that keep their digits."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as _numba_intrinsic

from firstlight.kernels._jit import inner

intrinsic: Any = _numba_intrinsic

_FEATURES = llvmlite.binding.get_host_cpu_features()
VECTOR_BYTES = 64 if _FEATURES.get("avx512f") else 32 if _FEATURES.get("avx2") else 16
# Whether the processor multiplies in bfloat16; elsewhere its instruction is imitated by those of float32, to be tested.
HAS_BFLOAT16 = VECTOR_BYTES == 64 and bool(_FEATURES.get("avx512bf16"))
INDEX = ir.IntType(64)


class _BFloat16(ir.Type):  # type: ignore[misc]
    """LLVM's type, which llvmlite does not name: the upper half of a float32."""

    null = "0.0"

    def _to_string(self):
        return "bfloat"

    def __eq__(self, other):
        return isinstance(other, _BFloat16)

    def __hash__(self):
        return hash(_BFloat16)


class Emitter:
    """The few vector instructions that the register tiles are made of, for one dtype."""

    def __init__(self, context, builder, dtype):
        self.context, self.builder = context, builder
        self.scalar = context.get_data_type(dtype)
        self.itemsize = context.get_abi_sizeof(self.scalar)
        self.lanes = VECTOR_BYTES // self.itemsize
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.zero = ir.Constant(self.vector, None)

    def at(self, kind, array, *offsets):
        """The address of array[sum of offsets]; `kind` is None for what is an address already."""
        address = array if kind is None else self.context.make_array(kind)(self.context, self.builder, array).data
        for offset in offsets:
            address = self.builder.gep(address, [INDEX(offset) if isinstance(offset, int) else offset])
        return address

    def load(self, address):
        return self.builder.load(self.builder.bitcast(address, self.vector.as_pointer()), align=self.itemsize)

    def store(self, value, address):
        align = min(self.itemsize, self.context.get_abi_sizeof(address.type.pointee))
        self.builder.store(value, self.builder.bitcast(address, value.type.as_pointer()), align=align)

    def index(self, address):
        """The int32 at `address`."""
        return self.builder.sext(self.builder.load(address), INDEX)

    def splat(self, address):
        """The scalar at `address` in every lane."""
        return self.spread(self.builder.load(address))

    def spread(self, scalar):
        """`scalar` in every lane."""
        one = self.builder.insert_element(self.zero, scalar, ir.IntType(32)(0))
        return self.builder.shuffle_vector(one, self.zero, ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), None))

    def mask(self, bit):
        """`bit` in every lane, to select by."""
        kind = ir.VectorType(ir.IntType(1), self.lanes)
        one = self.builder.insert_element(ir.Constant(kind, None), bit, ir.IntType(32)(0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), None)
        return self.builder.shuffle_vector(one, ir.Constant(kind, None), lanes)

    def extract(self, vector, lane):
        return self.builder.extract_element(vector, ir.IntType(32)(lane))

    def register(self, value):
        """A place for a vector that loops change; LLVM keeps it in a register."""
        slot = cgutils.alloca_once(self.builder, self.vector)
        self.builder.store(value, slot)
        return slot

    def constant(self, number):
        """`number` in every lane."""
        return ir.Constant(self.vector, [float(number)] * self.lanes)

    def fused(self, a, b, c):
        """a · b + c, fused where the machine can."""
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        name = f"llvm.fmuladd.v{self.lanes}f{8 * self.itemsize}"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, [a, b, c])

    def accumulate(self, slot, a, b):
        """slot += a · b."""
        self.builder.store(self.fused(a, b, self.builder.load(slot)), slot)

    def rectified(self, vector, relu):
        """The vector, what is below zero cut where `relu` is true; NaN stays."""
        cut = self.builder.select(self.builder.fcmp_ordered("<", vector, self.zero), self.zero, vector)
        return self.builder.select(relu, cut, vector)

    def every_other(self, first):
        """What shuffles two vectors to every other lane of both, from the `first` on."""
        return ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), list(range(first, 2 * self.lanes, 2)))

    def narrow(self, vector):
        """The bits in bfloat16, int16, of the float32 of a vector: the nearest, of two the even one; NaN stays."""
        builder, bits = self.builder, ir.VectorType(ir.IntType(32), self.lanes)
        halves = ir.VectorType(ir.IntType(16), self.lanes)
        if HAS_BFLOAT16:
            return builder.bitcast(builder.fptrunc(vector, ir.VectorType(_BFloat16(), self.lanes)), halves)
        # Without the instruction LLVM calls a function of the compiler's runtime, which a process need not have.
        whole = builder.bitcast(vector, bits)
        one, sixteen, half, quiet = (ir.Constant(bits, [n] * self.lanes) for n in (1, 16, 0x7FFF, 0x40))
        upper = builder.lshr(whole, sixteen)
        nearest = builder.lshr(builder.add(whole, builder.add(half, builder.and_(upper, one))), sixteen)
        is_nan = builder.fcmp_unordered("uno", vector, vector)
        return builder.trunc(builder.select(is_nan, builder.or_(upper, quiet), nearest), halves)

    def pair(self, low, high):
        """Both in bfloat16, side by side in each lane, as int32."""
        builder, whole = self.builder, ir.VectorType(ir.IntType(32), self.lanes)
        low, high = (builder.zext(self.narrow(x), whole) for x in (low, high))
        return builder.or_(low, builder.shl(high, ir.Constant(whole, [16] * self.lanes)))

    def totals(self, slots):
        """Vectors whose lanes are the sums over the lanes of each slot, neighbours added until one is left."""
        even, odd = map(self.every_other, (0, 1))
        shuffle = self.builder.shuffle_vector
        found = []
        for group in range(0, len(slots), self.lanes):
            values = [self.builder.load(slot) for slot in slots[group : group + self.lanes]]
            values += [self.zero] * (self.lanes - len(values))
            while len(values) > 1:
                pairs = zip(values[::2], values[1::2], strict=True)
                values = [self.builder.fadd(shuffle(a, b, even), shuffle(a, b, odd)) for a, b in pairs]
            found += values
        return found

    def loop(self, count):
        return cgutils.for_range(self.builder, count, intp=INDEX)


class PairEmitter(Emitter):
    """The same for vectors of bfloat16, two of them for each float32 of the sums: a product adds both to its lane."""

    def __init__(self, context, builder, dtype):
        super().__init__(context, builder, types.float32)
        self.pairs = ir.VectorType(_BFloat16(), 2 * self.lanes)
        self.scalar = context.get_data_type(dtype)  # in which addresses count: int32 for pairs, int16 for each
        self.itemsize = context.get_abi_sizeof(self.scalar)
        self.step = 4 * self.lanes // self.itemsize

    def load(self, address):
        return self.builder.load(self.builder.bitcast(address, self.pairs.as_pointer()), align=self.itemsize)

    def splat(self, address):
        """The pair at `address` in every lane."""
        whole = ir.VectorType(ir.IntType(32), self.lanes)
        pair, zero = self.builder.load(address), ir.Constant(whole, None)
        one = self.builder.insert_element(zero, pair, ir.IntType(32)(0))
        every = self.builder.shuffle_vector(one, zero, ir.Constant(whole, None))
        return self.builder.bitcast(every, self.pairs)

    def accumulate(self, slot, a, b):
        """slot += a · b of both of each pair."""
        builder, total = self.builder, self.builder.load(slot)
        if HAS_BFLOAT16:
            kind = ir.FunctionType(self.vector, [self.vector, self.pairs, self.pairs])
            function = cgutils.get_or_insert_function(
                builder.module, kind, f"llvm.x86.avx512bf16.dpbf16ps.{8 * VECTOR_BYTES}"
            )
            total = builder.call(function, [total, a, b])
        else:
            for first in (0, 1):
                mask = self.every_other(first)
                wide = [builder.fpext(builder.shuffle_vector(x, x, mask), self.vector) for x in (a, b)]
                total = builder.fadd(total, builder.fmul(*wide))
        builder.store(total, slot)


@intrinsic
def narrow(_, x, to, vectors):
    """to = x in bfloat16, for so many vectors; `to` counts in int16 and may lie where x does. Nothing for x's dtype."""

    def emit(context, builder, signature, args):
        if to.dtype == x.dtype:
            return context.get_dummy_value()
        e = Emitter(context, builder, x.dtype)
        half = ir.VectorType(ir.IntType(16), e.lanes).as_pointer()
        with e.loop(args[2]) as i:
            m = builder.mul(i.index, INDEX(e.lanes))
            value = e.narrow(e.load(e.at(x, args[0], m)))
            builder.store(value, builder.bitcast(e.at(to, args[1], m), half), align=2)
        return context.get_dummy_value()

    return types.void(x, to, types.intp), emit


@intrinsic
def copy(_, to, i, x, j, count):
    """to[i : i + count] = x[j : j + count]."""

    def emit(context, builder, signature, args):
        e = Emitter(context, builder, x.dtype)
        cgutils.raw_memcpy(builder, e.at(to, args[0], args[1]), e.at(x, args[2], args[3]), args[4], e.itemsize)
        return context.get_dummy_value()

    return types.void(to, types.intp, x, types.intp, types.intp), emit


@intrinsic
def turn(_, x, at, row, to, start, column):
    """to[start + i · column + k] = x[at + k · row + i] for as many k and i as a vector has lanes, in registers."""

    def emit(context, builder, signature, args):
        x_, at_, row_, to_, start_, column_ = args
        e = Emitter(context, builder, x.dtype)
        rows = [e.load(e.at(x, x_, at_, builder.mul(row_, INDEX(k)))) for k in range(e.lanes)]
        half, kind = e.lanes // 2, ir.VectorType(ir.IntType(32), e.lanes)
        shuffles = [
            ir.Constant(kind, [n // 2 + first + n % 2 * e.lanes for n in range(e.lanes)]) for first in (0, half)
        ]
        for _ in range(half.bit_length()):  # each a perfect shuffle
            pairs = zip(rows[:half], rows[half:], strict=True)
            rows = [builder.shuffle_vector(a, b, shuffle) for a, b in pairs for shuffle in shuffles]
        for i, column in enumerate(rows):
            e.store(column, e.at(to, to_, start_, builder.mul(column_, INDEX(i))))
        return context.get_dummy_value()

    i = types.intp
    return types.void(x, i, i, to, i, i), emit


@inner
def turn_rows(x, at, n, to, start, width, count):
    """to[start + i · width + k] = x[at + k · n + i] for n numbers of `count` rows."""
    lanes = VECTOR_BYTES // x.itemsize
    rows, numbers = count // lanes * lanes, n // lanes * lanes
    for k in range(0, rows, lanes):
        for i in range(0, numbers, lanes):
            turn(x, at + k * n + i, n, to, start + i * width + k, width)
    for k in range(count):
        for i in range(numbers if k < rows else 0, n):
            to[start + i * width + k] = x[at + k * n + i]


@inner
def copy_vectors(to, i, x, j, count):
    """The same as `copy` for few numbers, of which each copy would be a call."""
    _moved(to, i, x, j, count, False)


@inner
def add_vectors(to, i, x, j, count):
    """to[i : i + count] += x[j : j + count]."""
    _moved(to, i, x, j, count, True)


@intrinsic(prefer_literal=True)
def _moved(_, to, i, x, j, count, add):
    adds = add.literal_value

    def emit(context, builder, signature, args):
        e = Emitter(context, builder, x.dtype)
        target, seen = e.at(to, args[0], args[1]), e.at(x, args[2], args[3])
        whole = builder.udiv(args[4], INDEX(e.lanes))
        with e.loop(whole) as v:
            m = builder.mul(v.index, INDEX(e.lanes))
            value, address = e.load(e.at(None, seen, m)), e.at(None, target, m)
            e.store(builder.fadd(e.load(address), value) if adds else value, address)
        done = builder.mul(whole, INDEX(e.lanes))
        with e.loop(builder.sub(args[4], done)) as k:
            m = builder.add(done, k.index)
            value, address = builder.load(e.at(None, seen, m)), e.at(None, target, m)
            builder.store(builder.fadd(builder.load(address), value) if adds else value, address)
        return context.get_dummy_value()

    n = types.intp
    return types.void(to, n, x, n, n, add), emit


@intrinsic
def clear(_, to, i, count):
    """to[i : i + count] = 0."""

    def emit(context, builder, signature, args):
        e = Emitter(context, builder, to.dtype)
        size = builder.mul(args[2], INDEX(e.itemsize))
        cgutils.memset(builder, e.at(to, args[0], args[1]), size, 0)
        return context.get_dummy_value()

    return types.void(to, types.intp, types.intp), emit


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


@intrinsic(prefer_literal=True)
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
