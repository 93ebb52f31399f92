"""The gradient of 3×3 convolutions with respect to the filters by Winograd's minimal filtering; see `_filtering`.

A tile of 4×4 outputs takes 36 products a channel and filter instead of 144. The sums of each element of ⊙ over tiles
and images, (O, C), are products of matrices for the register tiles, with channels along the vectors: x is turned.
"""

# Numba infers the types of compiled functions, and O is the number of filters.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"
# ruff: noqa: E741, N815

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from firstlight.kernels._filtering import Filtering
from firstlight.kernels._interpreter import SINGLE, call, gradient_sums, view
from firstlight.kernels._jit import inner
from firstlight.kernels._tiles import FROM_TARGET, FROM_ZERO, TILES
from firstlight.kernels._vectors import VECTOR_BYTES, clear, turn
from firstlight.kernels.operation import Cut, Part, Step, Subroutine, Value, step
from firstlight.kernels.ops.winograd import LARGE, WIDE, apart, grouped
from firstlight.types import Array

if TYPE_CHECKING:
    from firstlight.kernels.ops.convolution import Correlation

# What the transformed tiles may take of a core's cache, and the fewest images × tiles of a sum: reading and writing the
# sums themselves takes its time too.
TRANSFORMED, LEAST = 3 << 18, 128


def saves_products(c: Correlation, cut: Cut) -> bool:
    """Whether it is the faster way: 3×3, whole vectors of channels, and outputs that fill large tiles."""
    (C, _, _), (O, Hy, Wy) = c.x, c.y
    return (
        (c.kernel, c.stride, c.spread) == ((3, 3), (1, 1), (1, 1))
        and cut.n >= cut.lanes
        and C % cut.lanes == 0
        and O >= WIDE
        and 9 * Hy * Wy >= 2 * LARGE.n**2 * -(-Hy // LARGE.m) * -(-Wy // LARGE.m)
    )


@step
class WinogradGradient(Step):
    """dW = Σ dy · x by large tiles: R × J of them at a time, for a `block` of images.

    The last block begins where as many images are left as it has, and skips those that it has twice. In scratch memory
    lie a row of zeros, the runs of the register tiles, the turned rows of x (·, ·, block, C), V (n², tiles, block, C),
    Y (n², O, stride) and the sums (n², O, C), in planes so far apart as the fields say.
    """

    x: Value | Part
    dy: Value | Part
    dW: int
    C: int
    H: int
    W: int
    O: int
    Hy: int
    Wy: int
    top: int
    left: int
    taps: Array
    block: int
    R: int
    J: int
    stride: int
    runs: int
    strip: int
    V: int
    Y: int
    S: int
    V_plane: int
    Y_plane: int
    S_plane: int
    subroutine: Subroutine = TILES

    @classmethod
    def of(cls, x: Value | Part, dy: Value | Part, dW: int, c: Correlation, cut: Cut) -> WinogradGradient:
        """The step for the convolution that y came by."""
        (C, H, W), (O, Hy, Wy), lanes = c.x, c.y, cut.lanes
        elements = LARGE.n**2
        budget = max(LEAST, TRANSFORMED // (elements * (C + O) * cut.itemsize))
        block, R, J = grouped(-(-Hy // LARGE.m), -(-Wy // LARGE.m), budget, cut)
        images = np.arange(R * J * block)
        rest = images[images % block >= -cut.n % block]  # of the last block
        taps = np.append(images, rest)[:, None] * [C, 1]
        stride = R * J * block
        stride += lanes if stride * cut.itemsize % 4096 == 0 else 0  # channels apart in the cache
        V_plane, Y_plane, S_plane = (apart(size, lanes) for size in (R * J * block * C, O * stride, O * C))
        runs = -(-Wy * cut.n // lanes) * lanes
        strip = runs + -(-2 * C // lanes) * lanes
        V = strip + (LARGE.m * R + 2) * (LARGE.m * -(-Wy // LARGE.m) + 2) * block * C
        Y = V + elements * V_plane + 2 * lanes
        S = Y + elements * Y_plane
        return cls(
            x, dy, dW, C, H, W, O, Hy, Wy, *c.start, taps, block, R, J, stride, runs, strip, V, Y, S, V_plane, Y_plane,
            S_plane,
        )  # fmt: skip

    def scratch(self, cut: Cut) -> int:
        return self.S + LARGE.n**2 * self.S_plane + 9 * cut.lanes

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        _large(op, n, frame, like)


def _gradient(way: Filtering) -> Any:
    """The loops by the tiles of a filtering."""
    m, elements = way.m, way.n**2
    spread_pixels, spread_gradients, filters_back = way.pixels, way.gradients, way.filters_back

    @inner
    def turned(op, n, start, arena, scratch, r0, r1, wide):
        """Rows r0:r1 of x, each of `wide` columns with zeros outside, (row, column, image, channel), for a block."""
        C, H, W, block, lanes = op.C, op.H, op.W, op.block, VECTOR_BYTES // arena.itemsize
        line, first, last = block * C, -op.left, min(W, wide + op.left)
        for r in range(r0, r1):
            to = op.strip + (r - r0) * wide * line
            if not 0 <= r < H:
                clear(scratch, to, wide * line)
                continue
            clear(scratch, to, max(0, first) * line)
            clear(scratch, to + (first + last) * line, (wide - first - last) * line)
            for c in range(0, C, lanes):
                for j in range(max(0, -first), last):
                    for i in range(0, block, lanes):
                        at = op.x + ((c * H + r) * W + j) * n + start + i
                        turn(arena, at, H * W * n, scratch, to + ((first + j) * block + i) * C + c, C)

    @inner
    def close(op, frame, scratch, like):
        """dW += Gᵀ S G."""
        C, O, lanes = op.C, op.O, VECTOR_BYTES // scratch.itemsize
        S, found = scratch[op.S :], np.zeros(9 * lanes, scratch.dtype)
        dW = gradient_sums(frame, op.dW, O * C * 9, like)
        for k in range(0, O * C, lanes):
            filters_back(
                S, k, op.S_plane, found, 0, 0, 0, 3, 3, lanes, frame.scratch, scratch.dtype.type(0), False, 1
            )  # fmt: skip
            for lane in range(lanes):
                for t in range(9):
                    dW[(k + lane) * 9 + t] += found[t * lanes + lane]

    @inner
    def gradient(op, n, frame, like):
        arena, scratch = view(frame.arena, like), view(frame.scratch, like)
        size, C, O, Hy, Wy = arena.itemsize, op.C, op.O, op.Hy, op.Wy
        block, stride, lanes = op.block, op.stride, VECTOR_BYTES // arena.itemsize
        line, columns = block * C, -(-C // (2 * lanes))
        V, Y, runs = scratch[op.V :], scratch[op.Y :], view(frame.scratch + op.runs * size, SINGLE)
        begin, down, across = FROM_ZERO, -(-Hy // m), -(-Wy // m)
        wide, zeros = m * across + 2, frame.scratch
        clear(scratch, 0, Wy * n)
        for first in range(0, n, block):
            start = min(first, n - block)
            for t0 in range(0, down, op.R):
                t1, r0 = min(down, t0 + op.R), m * t0 + op.top
                turned(op, n, start, arena, scratch, r0, r0 + m * (t1 - t0) + 2, wide)
                for j0 in range(0, across, op.J):
                    j1 = min(across, j0 + op.J)
                    to = 0
                    for t in range(t1 - t0):
                        for j in range(j0, j1):
                            spread_pixels(
                                scratch, op.strip, 0, m * t, m * j, m * op.R + 2, wide, line, zeros, V, to, op.V_plane,
                                line // lanes,
                            )  # fmt: skip
                            to += line
                    for o in range(O):
                        to = o * stride
                        for t in range(t0, t1):
                            for j in range(j0, j1):
                                spread_gradients(
                                    arena, op.dy + o * Hy * Wy * n + start, 0, m * t, m * j, Hy, Wy, n, zeros, Y, to,
                                    op.Y_plane, block // lanes,
                                )  # fmt: skip
                                to += block
                    tiles = (t1 - t0) * (j1 - j0)
                    begun = op.R * op.J * block if start < first else 0
                    for k in range(columns):
                        runs[2 * k], runs[2 * k + 1] = begun, begun + tiles * (block - (first - start))
                    for k in range(elements):
                        call(op.subroutine, (
                            V.ctypes.data + k * op.V_plane * size, Y.ctypes.data + k * op.Y_plane * size,
                            frame.tables + op.taps * 4, runs.ctypes.data, frame.scratch,
                            frame.scratch + (op.S + k * op.S_plane) * size, frame.scratch,
                            0, stride, columns, C, 1, C, 0, C, 0, 1, 0, O, 0, begin, 0,
                        ))  # fmt: skip
                    begin = FROM_TARGET
        close(op, frame, scratch, like)

    return gradient


_large = _gradient(LARGE)
