"""Winograd's minimal filtering: the matrices of F(m×m, 3×3), and the loops that transform windows of pixels by them.

With d the n×n pixels that a tile of m×m outputs sees, n = m + 2, and g a filter,

    y = Aᵀ (U ⊙ V) A,   U = G g Gᵀ,   V = B d Bᵀ,   and   dg = Gᵀ (Σ (A dy Aᵀ) ⊙ V) G,

⊙ element by element. A product of polynomials is found from its values at n − 1 points and the leading coefficient
(Toom and Cook): A and G evaluate, Bᵀ interpolates. The points are zero and pairs ±p, of which a transform works out
the even and the odd powers once for both.
"""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import types

from firstlight.kernels._vectors import INDEX, Emitter, intrinsic
from firstlight.types import Array

TAPS = 3


class Filtering(NamedTuple):
    """The matrices for tiles of m×m outputs, and their loops in compiled code; rows are points, ∞ the last.

    A, G, B       (n, m), (n, 3), (n, n)
    pixels        V = B d Bᵀ
    filters       U = G g Gᵀ
    gradients     A dy Aᵀ
    outputs       Aᵀ · A
    filters_back  Gᵀ · G
    """

    m: int
    A: Array
    G: Array
    B: Array
    pixels: Any
    filters: Any
    gradients: Any
    outputs: Any
    filters_back: Any

    @property
    def n(self) -> int:
        """The side of what a tile sees."""
        return self.m + TAPS - 1


def filtering(pairs: Sequence[float]) -> Filtering:
    """That of the points 0, ±p for each of the pairs, and ∞: m = 2, 4, … outputs."""
    points = np.array([0.0, *(sign * p for p in pairs for sign in (1, -1))])
    n = len(points) + 1
    m = n - TAPS + 1
    A, G, B = np.zeros((n, m)), np.zeros((n, TAPS)), np.zeros((n, n))
    for row, point in enumerate(points):
        others = np.delete(points, row)
        A[row] = point ** np.arange(m)
        G[row] = point ** np.arange(TAPS) / np.prod(point - others)
        B[row, :-1] = np.poly(others)[::-1]
    A[-1, -1] = G[-1, -1] = 1
    B[-1] = np.poly(points)[::-1]
    return Filtering(m, A, G, B, _spreading(B), _spreading(G), _spreading(A), _gathering(A), _gathering(G))


def _spreading(matrix: Array) -> Any:
    """V = matrix d matrixᵀ for windows d, whose side is the matrix's width."""
    side = matrix.shape[1]

    @intrinsic
    def spread(_, x, at, other, row, column, H, W, N, zeros, V, to, plane, vectors):
        """V[k · plane + to + ·], element k, of the window x[at + ((row + r) · W + column + s) · N + ·].

        Outside H × W it has zeros, of which W · N lie at the address `zeros`. Where V counts in another type than x,
        it is this and the same for the window `other` further on, as a pair in bfloat16, or this one alone where V
        counts in int16.
        """

        def emit(context, builder, signature, args):
            x_, at_, other_, row_, column_, H_, W_, N_, zeros_, V_, to_, plane_, vectors_ = args
            e = Emitter(context, builder, x.dtype)
            nothing, line = builder.inttoptr(zeros_, e.scalar.as_pointer()), builder.mul(W_, N_)
            rows = [builder.add(row_, INDEX(r)) for r in range(side)]
            lines = [(builder.icmp_unsigned("<", r, H_), builder.mul(r, line)) for r in rows]  # negative is very large
            columns = []
            for s in range(side):
                c = builder.add(column_, INDEX(s))
                inside = builder.icmp_unsigned("<", c, W_)
                columns.append((e.mask(inside), builder.mul(builder.select(inside, c, INDEX(0)), N_)))

            def transformed(first, m):
                starts = [
                    e.at(None, builder.select(inside, e.at(None, first, start), nothing), m) for inside, start in lines
                ]
                half = [
                    _spread(
                        e, matrix, [builder.select(mask, e.load(e.at(None, start, step)), e.zero) for start in starts]
                    )
                    for mask, step in columns
                ]
                for row in zip(*half, strict=True):
                    yield from _spread(e, matrix, row)

            first = e.at(x, x_, at_)
            second = e.at(None, first, other_)
            with e.loop(vectors_) as i:
                m = builder.mul(i.index, INDEX(e.lanes))
                address = e.at(V, V_, to_, m)
                if V.dtype == x.dtype:
                    found = transformed(first, m)
                elif V.dtype == types.int16:
                    found = map(e.narrow, transformed(first, m))
                else:
                    found = map(e.pair, transformed(first, m), transformed(second, m))
                for value in found:
                    e.store(value, address)
                    address = e.at(None, address, plane_)
            return context.get_dummy_value()

        i = types.int64
        return types.void(x, i, i, i, i, i, i, i, i, V, i, i, i), emit

    return spread


def _gathering(matrix: Array) -> Any:
    """y = bias + matrixᵀ M matrix for windows y, whose side is the matrix's width."""
    points, side = matrix.shape

    @intrinsic
    def gather(_, M, at, plane, y, to, row, column, H, W, N, dump, bias, relu, vectors):
        """The window y[to + ((row + r) · W + column + s) · N + ·] of M[k · plane + at + ·], element k.

        What lies beyond H × W is written to the address `dump`.
        """

        def emit(context, builder, signature, args):
            M_, at_, plane_, y_, to_, row_, column_, H_, W_, N_, dump_, bias_, relu_, vectors_ = args
            e = Emitter(context, builder, M.dtype)
            rows = [builder.add(row_, INDEX(r)) for r in range(side)]
            columns = [builder.add(column_, INDEX(s)) for s in range(side)]
            line = builder.mul(W_, N_)
            nowhere = builder.inttoptr(dump_, e.scalar.as_pointer())
            first, bias_vector = e.at(y, y_, to_), e.spread(bias_)
            with e.loop(vectors_) as i:
                m = builder.mul(i.index, INDEX(e.lanes))
                elements = [
                    [e.load(e.at(M, M_, at_, m, builder.mul(plane_, INDEX(points * r + s)))) for s in range(points)]
                    for r in range(points)
                ]
                half = [_gathered(e, matrix, column) for column in zip(*elements, strict=True)]
                for r, values in zip(rows, zip(*half, strict=True), strict=True):
                    for c, value in zip(columns, _gathered(e, matrix, values), strict=True):
                        address = e.at(None, first, builder.mul(r, line), builder.mul(c, N_))
                        inside = builder.and_(builder.icmp_signed("<", r, H_), builder.icmp_signed("<", c, W_))
                        address = builder.select(inside, address, nowhere)
                        e.store(e.rectified(builder.fadd(value, bias_vector), relu_), e.at(None, address, m))
            return context.get_dummy_value()

        i = types.int64
        return types.void(M, i, i, y, i, i, i, i, i, i, i, M.dtype, types.boolean, i), emit

    return gather


def _spread(e, matrix, x):
    """matrix x, for vectors x: rows of ±p share their even and their odd powers."""
    found = [_weighted(e, matrix[0], x)]
    for row in matrix[1:-1:2]:
        even, odd = (_weighted(e, row[first::2], x[first::2]) for first in (0, 1))
        found += [e.builder.fadd(even, odd), e.builder.fsub(even, odd)]
    return [*found, _weighted(e, matrix[-1], x)]


def _gathered(e, matrix, x):
    """matrixᵀ x, for vectors x: of ±p the sum goes to even powers and the difference to odd ones."""
    pairs = list(zip(x[1:-1:2], x[2:-1:2], strict=True))
    sums = [[e.builder.fadd(*pair) for pair in pairs], [e.builder.fsub(*pair) for pair in pairs]]
    weights = np.vstack([matrix[0], matrix[1:-1:2], matrix[-1]])
    return [_weighted(e, column, [x[0], *sums[power % 2], x[-1]]) for power, column in enumerate(weights.T)]


def _weighted(e, weights, x):
    """Σ weights · x."""
    builder = e.builder
    # One that is not multiplied comes first.
    terms = sorted(((w, v) for w, v in zip(weights, x, strict=True) if w), key=lambda term: term[0] != 1)
    total = None
    for w, v in terms:
        if total is None:
            total = v if w == 1 else builder.fmul(e.constant(w), v)
        elif abs(w) == 1:
            total = (builder.fadd if w == 1 else builder.fsub)(total, v)
        else:
            total = e.fused(e.constant(w), v, total)
    return total
