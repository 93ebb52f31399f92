"""3×3 convolutions by Winograd's minimal filtering, F(2×2, 3×3) and F(4×4, 3×3) of Lavin & Gray 2015.

A tile of 2×2 outputs takes 16 products a channel instead of 36, one of 4×4 takes 36 instead of 144. Over channels,
filters and tiles each of the elements of ⊙ (see `_filtering`) is a product of matrices, which the register tiles of
`_tiles` work out. The gradient with respect to the filters goes the same way: there the sums run over tiles and images.
"""

# Numba infers the types of compiled functions, and O is the number of filters.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"
# ruff: noqa: E741

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from firstlight.kernels._filtering import Filtering, filtering
from firstlight.kernels._interpreter import HALF, SINGLE, call, view
from firstlight.kernels._jit import inner
from firstlight.kernels._tiles import FROM_ZERO, TILES, TILES_OF_PAIRS
from firstlight.kernels._vectors import VECTOR_BYTES, clear
from firstlight.kernels.operation import Cut, Step, Subroutine, Value, step
from firstlight.types import Array

if TYPE_CHECKING:
    from firstlight.kernels.ops.convolution import Correlation

# What the transformed tiles may take of a core's cache, what the transformed filters may take, and the fewest channels
# and filters for which it is faster.
TRANSFORMED, FILTERS, WIDE = 3 << 18, 5 << 19, 16

# With ±1/√2 and ±√2 the error in float32 is half of that with Lavin & Gray's ±1 and ±2 (docs/why/decisions/0046).
SMALL, LARGE = filtering([1.0]), filtering([0.5**0.5, 2.0**0.5])


def tiles_for(c: Correlation, cut: Cut) -> Filtering | None:
    """The tiles that are the fastest way (docs/why/decisions/0046), if any: 3×3, vectors of images, and wide enough."""
    if (c.kernel, c.stride, c.spread) != ((3, 3), (1, 1), (1, 1)) or cut.n < cut.lanes or min(c.x[0], c.y[0]) < WIDE:
        return None

    def products(way: Filtering) -> int:
        return int(way.n**2 * -(-c.y[1] // way.m) * -(-c.y[2] // way.m))

    best = SMALL if cut.half else min(SMALL, LARGE, key=products)
    return best if _taps(c) >= 1.5 * products(best) else None


def _taps(c: Correlation) -> int:
    """Pairs of an output pixel and a tap that hits the image: the others cost nothing."""
    axes = zip(c.x[1:], c.y[1:], c.start, strict=True)
    rows, columns = (sum(0 <= i + r + start < size for i in range(out) for r in range(3)) for size, out, start in axes)
    return rows * columns


@step
class Winograd(Step):
    """y = bias + Σ W · x by small tiles: R × J of them at a time, for a `block` of images and a `part` of the filters.

    The last block begins where as many images are left as it has. In scratch memory lie space for what nobody needs;
    a row of zeros; U (n², part, U_row), V (n², C, stride) and M (n², part, stride), each in planes so far apart
    as the fields say.
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
    top: int
    left: int
    taps: Array
    runs: Array
    block: int
    part: int
    R: int
    J: int
    stride: int
    U: int
    V: int
    M: int
    U_row: int
    U_plane: int
    V_plane: int
    M_plane: int
    relu: bool
    subroutine: Subroutine = TILES

    way: ClassVar[Filtering] = SMALL

    @classmethod
    def of(cls, x: Value, y: Value, W: int, b: int, c: Correlation, cut: Cut, way: Filtering, relu: bool) -> Winograd:
        """The step for a correlation, cut so that what is transformed stays in the cache."""
        (C, H, width), (O, Hy, Wy), lanes = c.x, c.y, cut.lanes
        elements, factors = way.n**2, -(-C // 2) if cut.half else C  # numbers of U and V for each filter and tile
        U_row = apart(C, lanes)
        row = U_row // 2 if cut.half else U_row
        parts = -(-elements * O * row * cut.itemsize // FILTERS)
        part = -(-O // parts)
        budget = TRANSFORMED // (elements * (factors + part) * cut.itemsize)  # tiles × images
        block, R, J = grouped(-(-Hy // way.m), -(-Wy // way.m), budget, cut)
        stride = R * J * block
        stride += lanes if stride * cut.itemsize % 4096 == 0 else 0  # channels apart in the cache
        channels = np.arange(factors)
        taps, runs = np.stack([channels * stride, channels], 1), np.tile([0, factors], -(-stride // (2 * lanes)))
        U_plane, V_plane, M_plane = (apart(size, lanes) for size in (part * row, factors * stride, part * stride))
        U = block + -(-width * cut.n // lanes) * lanes
        V = U + elements * U_plane
        M = V + elements * V_plane + 2 * lanes
        kind = {(2, False): Winograd, (2, True): WinogradOfPairs, (4, False): WinogradLarge}[way.m, cut.half]
        return kind(
            x, y, W, b, C, H, width, O, Hy, Wy, *c.W_strides, c.flipped, *c.start, taps, runs, block, part, R, J,
            stride, U, V, M, U_row, U_plane, V_plane, M_plane, relu,
        )  # fmt: skip

    def scratch(self, cut: Cut) -> int:
        return self.M + self.way.n**2 * self.M_plane + 2 * cut.lanes

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        scratch = view(frame.scratch, like)
        _small(op, n, frame, like, scratch[op.U :], scratch[op.V :], 1)


@step
class WinogradOfPairs(Winograd):
    """The same, of products in bfloat16: U and V hold pairs of channels, so that C counts half."""

    subroutine: Subroutine = TILES_OF_PAIRS

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        U, V = view(frame.scratch, HALF)[2 * op.U :], view(frame.scratch, SINGLE)[op.V :]
        _small(op, n, frame, like, U, V, 2)


@step
class WinogradLarge(Winograd):
    """The same by large tiles."""

    way: ClassVar[Filtering] = LARGE

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        scratch = view(frame.scratch, like)
        _large(op, n, frame, like, scratch[op.U :], scratch[op.V :], 1)


def apart(size: int, lanes: int) -> int:
    """The distance of rows or planes of `size` numbers: an odd number of vectors, that few share the cache's sets."""
    vectors = -(-size // lanes)
    return (vectors + 1 - vectors % 2) * lanes


def grouped(down: int, across: int, budget: int, cut: Cut) -> tuple[int, int, int]:
    """A block of images, and the rows and columns of tiles in a group, of which the cache holds `budget` times."""
    wide, slim = 2 * cut.lanes, cut.lanes
    # Two vectors of images, which fill a register tile, unless more of them would be worked out twice.
    few = cut.n < wide or -(-cut.n // wide) * wide > -(-cut.n // slim) * slim
    unit = slim if few else wide
    tiles = max(wide, budget) // unit
    if tiles < across:
        return unit, 1, -(-across // -(-across // tiles))
    rows = min(down, tiles // across)
    if rows < down:
        return unit, -(-down // -(-down // rows)), across
    # An image is small: of the blocks that work few images out twice, the largest that the cache holds.
    sizes = range(unit, min(cut.n, unit * (tiles // (down * across))) + 1, unit)
    done = {block: -(-cut.n // block) * block for block in sizes}
    return max(block for block in sizes if done[block] <= 1.1 * min(done.values())), down, across


def _convolution(way: Filtering) -> Any:
    """The loops by the tiles of a filtering; `together` channels are a factor of U and V."""
    m, elements = way.m, way.n**2
    spread_filter, spread_pixels, gather = way.filters, way.pixels, way.outputs

    @inner
    def filters(op, theta, o0, o1, zeros, U, plane):
        """U for some filters and every channel."""
        C, lanes = op.C, VECTOR_BYTES // theta.itemsize
        padded = -(-C // lanes) * lanes
        g = np.zeros(9 * padded, theta.dtype)
        for o in range(o0, o1):
            for c in range(C):
                at = op.W + o * op.W_row + c * op.W_channel
                for t in range(9):
                    g[t * padded + c] = theta[at + 8 - t] if op.flipped else theta[at + t]
            spread_filter(g, 0, 0, 0, 0, 3, 3, padded, zeros, U, (o - o0) * op.U_row, plane, padded // lanes)

    @inner
    def convolve(op, n, frame, like, U, V, together):
        arena, theta, scratch = view(frame.arena, like), view(frame.theta, like), view(frame.scratch, like)
        size, C, H, W, O, Hy, Wy = arena.itemsize, op.C, op.H, op.width, op.O, op.Hy, op.Wy
        block, stride, lanes = op.block, op.stride, VECTOR_BYTES // arena.itemsize
        M, vectors = scratch[op.M :], block // lanes
        zeros = frame.scratch + block * size
        clear(scratch, block, W * n)
        down, across = -(-Hy // m), -(-Wy // m)
        for o0 in range(0, O, op.part):
            o1 = min(O, o0 + op.part)
            filters(op, theta, o0, o1, zeros, U, together * op.U_plane)
            for first in range(0, n, block):
                start = min(first, n - block)
                for t0 in range(0, down, op.R):
                    t1 = min(down, t0 + op.R)
                    for j0 in range(0, across, op.J):
                        j1 = min(across, j0 + op.J)
                        for c in range(0, C, together):
                            at, to = op.x + c * H * W * n + start, c // together * stride
                            other = H * W * n if c + 1 < C else 0  # what has no second channel has a U of zero for it
                            for t in range(t0, t1):
                                for j in range(j0, j1):
                                    spread_pixels(
                                        arena, at, other, m * t + op.top, m * j + op.left, H, W, n, zeros, V, to,
                                        op.V_plane, vectors,
                                    )  # fmt: skip
                                    to += block
                        tiles = -(-(t1 - t0) * (j1 - j0) * vectors // 2)
                        for k in range(elements):
                            call(op.subroutine, (
                                V.ctypes.data + k * op.V_plane * size, U.ctypes.data + k * op.U_plane * size,
                                frame.tables + op.taps * 4, frame.tables + op.runs * 4, frame.scratch,
                                M.ctypes.data + k * op.M_plane * size, frame.scratch,
                                0, op.U_row // together, tiles, stride, 1, stride, 0, stride, 0, 1, 0, o1 - o0, 0,
                                FROM_ZERO, 0,
                            ))  # fmt: skip
                        for o in range(o0, o1):
                            bias = theta[op.b + o] if op.b >= 0 else theta.dtype.type(0)
                            at, to = (o - o0) * stride, op.y + o * Hy * Wy * n + start
                            for t in range(t0, t1):
                                for j in range(j0, j1):
                                    gather(
                                        M, at, op.M_plane, arena, to, m * t, m * j, Hy, Wy, n, frame.scratch, bias,
                                        op.relu != 0, vectors,
                                    )  # fmt: skip
                                    at += block

    return convolve


_small, _large = _convolution(SMALL), _convolution(LARGE)
