"""Activations: y = f(x), and dy ← dy · f′ told from y, so that x need not be kept; of GELU, SiLU and Mish from x.

To add one, write its two loops and put them into FORMULAS: only those of the activations that a net has are compiled.

In float32 the exponential is a polynomial that compilers turn into vectors: eˣ − 1 = 2ᵏ q + (2ᵏ − 1) with
x = k ln 2 + r, |r| ≤ ln 2 / 2, and q the Taylor series of eʳ − 1; its error is a few units in the last place.
"""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import overload

from firstlight.kernels._interpreter import view
from firstlight.kernels._jit import inner
from firstlight.kernels._vectors import intrinsic
from firstlight.kernels.graph import Graph
from firstlight.kernels.operation import Memory, Part, Step, Value, operation, step

SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


@operation
def activation(graph: Graph, x: Value, name: str, constant: float = 0.0) -> Value:
    """An activation of FORMULAS, with its constant; a ReLU at no cost where what wrote x can cut it."""
    formula = FORMULAS[name]
    place = x.memory if x.may_overwrite and not formula.from_x else Memory(x.size)
    y = replace(x, memory=place, may_overwrite=False)
    writer = graph.written(x.memory) if name == "relu" and y.memory is x.memory else None
    if writer:
        graph.rectified_by(writer, x, y)
    else:
        graph.append(formula.forward(x, y, x.size, constant))

    def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
        if writer and writer.gradient_rectifies:
            graph.leave_uncut(dy)
        else:
            graph.append(formula.backward(x if formula.from_x else y, dy, x.size, constant))
        return ((x, dy),)

    graph.on_backward(y, backward)
    return y


class Activate(Step):
    """y = f(x) with its constant."""

    x: Value
    y: Value
    features: int
    constant: float


class ActivateBack(Step):
    """dy ← dy · f′, told from y (or from x)."""

    y: Value
    dy: Value | Part
    features: int
    constant: float


class Formula(NamedTuple):
    """The steps of an activation, and whether its gradient is told from x, which then stays."""

    forward: type[Any]
    backward: type[Any]
    from_x: bool


def formula(forward: Any, backward: Any, from_x: bool = False) -> Formula:
    """From x ← f(x; a) and dy ← dy · f′(y; a), both in place: what may overlap becomes no vectors."""

    def activate(op, n, n0, chunk, frame, like):
        arena, length = view(frame.arena, like), op.features * n
        y = arena[op.y : op.y + length]
        if op.x != op.y:
            y[:] = arena[op.x : op.x + length]
        forward(y, arena.dtype.type(op.constant))

    def activate_back(op, n, n0, chunk, frame, like):
        arena, length = view(frame.arena, like), op.features * n
        backward(arena[op.y : op.y + length], arena[op.dy : op.dy + length], arena.dtype.type(op.constant))

    steps: list[type[Any]] = []
    for loops, base, function in ((activate, Activate, forward), (activate_back, ActivateBack, backward)):
        name = function.__name__.title().replace("_", "")
        loops.__qualname__ = f"{name}.loops"
        fields = {"loops": staticmethod(loops), "__annotations__": base.__annotations__, "__doc__": base.__doc__}
        steps.append(step(type(name, (base,), fields)))
    return Formula(steps[0], steps[1], from_x)


@intrinsic(prefer_literal=True)
def _exponential(_, x, less_one):
    """eˣ or eˣ − 1 in float32, without a branch, so that loops become vectors; NaN stays."""

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
        level = builder.fsub(power, number(1)) if less_one.literal_value else power
        found = fused(power, builder.fmul(q, r), level)
        return builder.select(builder.fcmp_unordered("uno", args[0], args[0]), args[0], found)

    return types.float32(types.float32, less_one), emit


def expm1(x):
    """eˣ − 1."""
    return math.expm1(x)


@overload(expm1)
def _expm1(x):
    return (lambda x: _exponential(x, True)) if x == types.float32 else (lambda x: math.expm1(x))


def exp(x):
    """eˣ."""
    return math.exp(x)


@overload(exp)
def _exp(x):
    return (lambda x: _exponential(x, False)) if x == types.float32 else (lambda x: math.exp(x))


@inner
def relu(x, a):
    """x where x > 0, else 0; NaN stays."""
    zero = x.dtype.type(0)
    for i in range(len(x)):
        x[i] = zero if x[i] < zero else x[i]


@inner
def relu_back(y, dy, a):
    """dy where y > 0, else 0."""
    zero = y.dtype.type(0)
    for i in range(len(y)):
        dy[i] = dy[i] if y[i] > zero else zero


@inner
def leaky(x, a):
    """x where x > 0, else a x."""
    zero = x.dtype.type(0)
    for i in range(len(x)):
        x[i] = x[i] if x[i] > zero else a * x[i]


@inner
def leaky_back(y, dy, a):
    """dy where y > 0, else a dy."""
    zero = y.dtype.type(0)
    for i in range(len(y)):
        dy[i] = dy[i] if y[i] > zero else a * dy[i]


@inner
def elu(x, a):
    """x where x > 0, else a (eˣ − 1)."""
    zero = x.dtype.type(0)
    for i in range(len(x)):
        low = a * expm1(x[i])
        x[i] = x[i] if x[i] > zero else low


@inner
def elu_back(y, dy, a):
    """dy where y > 0, else dy (y + a)."""
    zero = y.dtype.type(0)
    for i in range(len(y)):
        dy[i] = dy[i] if y[i] > zero else dy[i] * (y[i] + a)


@inner
def selu(x, a):
    """ELU, scaled."""
    real = x.dtype.type
    zero, rise, fall = real(0), real(SELU_SCALE), real(SELU_SCALE * SELU_ALPHA)
    for i in range(len(x)):
        low = fall * expm1(x[i])
        x[i] = rise * x[i] if x[i] > zero else low


@inner
def selu_back(y, dy, a):
    """The slope from y, which is at the scale."""
    real = y.dtype.type
    zero, rise, fall = real(0), real(SELU_SCALE), real(SELU_SCALE * SELU_ALPHA)
    for i in range(len(y)):
        dy[i] = dy[i] * (rise if y[i] > zero else y[i] + fall)


@inner
def sigmoid(x, a):
    """1 / (1 + e⁻ˣ)."""
    one, two = x.dtype.type(1), x.dtype.type(2)
    for i in range(len(x)):
        x[i] = one / (two + expm1(-x[i]))


@inner
def sigmoid_back(y, dy, a):
    """dy y (1 − y)."""
    one = y.dtype.type(1)
    for i in range(len(y)):
        dy[i] = dy[i] * y[i] * (one - y[i])


@inner
def tanh(x, a):
    """tanh x of the magnitude, so that nothing overflows or cancels."""
    zero, two = x.dtype.type(0), x.dtype.type(2)
    for i in range(len(x)):
        e = expm1(-two * abs(x[i]))
        v = -e / (e + two)
        x[i] = v if x[i] >= zero else -v


@inner
def tanh_back(y, dy, a):
    """dy (1 − y²)."""
    one = y.dtype.type(1)
    for i in range(len(y)):
        dy[i] = dy[i] * (one - y[i] * y[i])


@inner
def gelu(x, a):
    """x Φ(x)."""
    real = x.dtype.type
    for i in range(len(x)):
        x[i] = x[i] * real(0.5 * math.erfc(-x[i] * math.sqrt(0.5)))


@inner
def gelu_back(x, dy, a):
    """dy (Φ(x) + x φ(x))."""
    real = x.dtype.type
    for i in range(len(x)):
        density = math.exp(-0.5 * x[i] * x[i]) / math.sqrt(2 * math.pi)
        dy[i] = dy[i] * real(0.5 * math.erfc(-x[i] * math.sqrt(0.5)) + x[i] * density)


@inner
def _nothing(x):
    """Where eˣ is nothing: in float32 less than the smallest number, which the exponential above does not reach."""
    return x.dtype.type(-104 if x.itemsize == 4 else -708)


@inner
def silu(x, a):
    """x σ(x)."""
    real = x.dtype.type
    zero, one, two, low = real(0), real(1), real(2), _nothing(x)
    for i in range(len(x)):
        x[i] = x[i] * (zero if x[i] < low else one / (two + expm1(-x[i])))


@inner
def silu_back(x, dy, a):
    """dy s (1 + x (1 − s)) with s = σ(x) = 1 / (1 + r), r = e⁻ˣ, and 1 − s = r s."""
    real = x.dtype.type
    zero, one, low = real(0), real(1), _nothing(x)
    for i in range(len(x)):
        r = zero if x[i] > -low else exp(-(x[i] if x[i] > low else low))
        s = zero if x[i] < low else one / (one + r)
        dy[i] = dy[i] * (s * (one + x[i] * (r * s)))


@inner
def _softplus_tanh(x, zero, two, low, high):
    """tanh(log(1 + eˣ)) = q / (q + 2) with q = e (e + 2), e = eˣ; and e. Beyond `high` it is 1."""
    e = exp(high if x > high else x)
    e = zero if x < low else e
    q = e * (e + two)
    return q / (q + two), e


@inner
def mish(x, a):
    """x tanh(log(1 + eˣ))."""
    real = x.dtype.type
    zero, two, low, high = real(0), real(2), _nothing(x), real(20)
    for i in range(len(x)):
        x[i] = x[i] * _softplus_tanh(x[i], zero, two, low, high)[0]


@inner
def mish_back(x, dy, a):
    """dy (t + x σ(x) (1 − t²)), where t = tanh(log(1 + eˣ)) and 1 − t² = 4 (q + 1) / (q + 2)²."""
    real = x.dtype.type
    zero, one, two, four, low, high = real(0), real(1), real(2), real(4), _nothing(x), real(20)
    for i in range(len(x)):
        t, e = _softplus_tanh(x[i], zero, two, low, high)
        q = e * (e + two)
        slope = t + x[i] * (e / (e + one)) * (four * (q + one) / ((q + two) * (q + two)))
        dy[i] = dy[i] * (one if x[i] > high else slope)


FORMULAS: dict[str, Formula] = {
    "relu": formula(relu, relu_back),
    "leaky": formula(leaky, leaky_back),
    "elu": formula(elu, elu_back),
    "selu": formula(selu, selu_back),
    "sigmoid": formula(sigmoid, sigmoid_back),
    "tanh": formula(tanh, tanh_back),
    "gelu": formula(gelu, gelu_back, from_x=True),
    "silu": formula(silu, silu_back, from_x=True),
    "mish": formula(mish, mish_back, from_x=True),
}
