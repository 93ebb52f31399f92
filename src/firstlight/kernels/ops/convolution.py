"""Convolutions: y = b + Σ W · x over the taps of a window, dx the same of dy with W flipped, and dW = Σ dy · x.

All are correlations whose sums the register tiles of `_tiles` work out: of x where it lies, where that needs no border,
else of strips copied from it (`_plan`), or by Winograd's way (`winograd`).
"""

# Numba infers the types of compiled functions, and O is the number of filters.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"
# ruff: noqa: E741, N815

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from firstlight.kernels import Padding, Pair, output_size
from firstlight.kernels._interpreter import HALF, SINGLE, call, gradient_sums, view
from firstlight.kernels._jit import inner
from firstlight.kernels._plan import DOT_STRIP, TILE_STRIP, Plan, plan
from firstlight.kernels._tiles import DOTS, DOTS_OF_HALVES, FROM_BIAS, FROM_ZERO, ROWS, TILES, fill
from firstlight.kernels._vectors import VECTOR_BYTES, narrow, total
from firstlight.kernels.graph import Graph
from firstlight.kernels.operation import Cut, Part, Slot, Step, Subroutine, Value, operation, slot_start, step
from firstlight.types import Array, Shape


@operation
def conv2d(graph: Graph, x: Value, W: Slot, b: Slot | None, stride: Pair, padding: Padding) -> Value:
    """See `Kernels.conv2d`. A kernel as large as the image makes it a product of matrices."""
    O, _, kh, kw = W.shape
    if covers_image((x.shape[1], x.shape[2]), (kh, kw), padding):
        return graph.reshape(graph.product(graph.reshape(x, (x.size,)), W, b), (O, 1, 1))
    forward, back = correlations(x.shape, W.shape, stride, padding)
    trains = x.requires_grad or W.trainable or (b is not None and b.trainable)
    y = graph.value(forward.y, trains, may_overwrite=True)
    graph.can_rectify(y, graph.append(Correlate(x, y, W.start, slot_start(b), forward)))

    def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
        bias_gradient(graph, dy, b)
        if W.trainable:
            graph.append(KernelGradient(x, dy, W.start, replace(forward, W_strides=(0, 0))))
        if not x.requires_grad:
            return ()
        dx = graph.value(x.shape)
        graph.append(Correlate(dy, dx, W.start, -1, back))
        return ((x, dx),)

    graph.on_backward(y, backward)
    return y


def bias_gradient(graph: Graph, dy: Value, b: Slot | None) -> None:
    """Record db where there is a bias that is trained."""
    if b is not None and b.trainable:
        graph.append(BiasGradient(dy, b.start, dy.shape[0], math.prod(dy.shape[1:])))


@dataclass(frozen=True)
class Correlation:
    """y[i, j] = start + Σ W[c, r, s] · x[c, (i · stride + r + start) / spread, ...] over the taps that hit a pixel.

    A dx is a forward convolution of dy with the flipped kernel, and a stride only spreads the pixels.

    W_strides  between the rows (channels of y) and the channels of W
    """

    x: Shape
    y: Shape
    W_strides: Pair
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    spread: Pair = (1, 1)
    start: Pair = (0, 0)
    flipped: bool = False

    @property
    def inside(self) -> bool:
        """Whether every tap of every output hits a pixel, and neighbours read neighbours."""
        (_, H, W), (_, Hy, Wy), (kh, kw) = self.x, self.y, self.kernel
        fits = (Hy - 1) * self.stride[0] + kh <= H and Wy - 1 + kw <= W
        return self.start == (0, 0) and self.spread == (1, 1) and self.stride[1] == 1 and fits

    @property
    def is_product(self) -> bool:
        """Whether it is y = W x, for x and the rows of W that lie one number after another."""
        return self.x[1:] == self.y[1:] == self.kernel == (1, 1) and self.W_strides == (self.x[0], 1)

    def reads(self, n: int) -> Array:
        """Where each tap of each channel reads in x as it lies, for n images."""
        (C, H, width), (kh, kw) = self.x, self.kernel
        channel, row, column = np.ogrid[:C, :kh, :kw]
        found: Array = (((channel * H + row) * width + column) * n).ravel()
        return found

    def reads_in_place(self, cut: Cut, limit: int, many: bool) -> bool:
        """Whether x is best read where it lies: it is small, and its channels do not fall on the same cache lines."""
        C, H, width = self.x
        plane = H * width * cut.n * cut.itemsize
        return not many or (C * plane <= limit and (C < 8 or plane % 4096 != 0))

    def plan(self, cut: Cut, out: Pair, width: int, strip_bytes: int, W_channel: int) -> Plan:
        """How it is cut into strips."""
        return plan(
            (*self.x, cut.n), out, self.kernel, self.stride, self.spread, self.start, W_channel, self.flipped,
            cut.lanes, width, cut.itemsize, strip_bytes,
        )  # fmt: skip


def covers_image(image: Pair, kernel: Pair, padding: Padding) -> bool:
    """Whether the kernel is as large as the image, so that the convolution is a product of matrices."""
    return image == kernel and not any(map(any, padding))


def correlations(x: Shape, W: Shape, stride: Pair, padding: Padding) -> tuple[Correlation, Correlation]:
    """Of a convolution of images x (C, H, W): y from x, and dx from dy."""
    O, C, kh, kw = W
    y = (O, *output_size((x[1], x[2]), (kh, kw), stride, padding))
    start, turned = (-padding[0][0], -padding[1][0]), (padding[0][0] - kh + 1, padding[1][0] - kw + 1)
    forward = Correlation(x, y, (C * kh * kw, kh * kw), (kh, kw), stride, start=start)
    return forward, Correlation(y, x, (kh * kw, C * kh * kw), (kh, kw), (1, 1), stride, turned, flipped=True)


@step
class Correlate(Step):
    """y = bias + Σ W · x, in whichever way is best for a cut. W and b are places in the weights; -1 for no bias."""

    x: Value
    y: Value
    W: int
    b: int
    correlation: Correlation
    relu: bool = False

    def ready(self, cut: Cut) -> Step:
        from firstlight.kernels.ops import product, winograd

        c = self.correlation
        if cut.n == 1 and not cut.training and c.is_product:
            return product.ProductOfOne(self.x, self.y, self.W, self.b, c.x[0], c.y[0], self.relu)
        way = winograd.tiles_for(c, cut)
        if way is not None:
            return winograd.Winograd.of(self.x, self.y, self.W, self.b, c, cut, way, self.relu)
        if c.inside and c.reads_in_place(cut, TILE_STRIP, math.prod(c.kernel) > 1):
            return self._in_place(cut)
        return CorrelateStrips.of(self.x, self.y, self.W, self.b, c, cut, self.relu)

    def _in_place(self, cut: Cut) -> CorrelateInPlace:
        c = self.correlation
        (C, _, width), (O, Hy, Wy), area = c.x, c.y, math.prod(c.kernel)
        channel, tap = np.ogrid[:C, :area]
        weighs = channel * c.W_strides[1] + (area - 1 - tap if c.flipped else tap)
        runs = np.empty((Hy, -(-Wy * cut.n // (2 * cut.lanes)), 2), np.int32)
        runs[:] = 0, C * area
        taps = np.stack([c.reads(cut.n), weighs.ravel()], 1)
        row = c.stride[0] * width * cut.n
        return CorrelateInPlace(
            self.x, self.y, self.W, self.b, O, Hy, Wy, c.W_strides[0], row, taps, runs, runs.shape[1], self.relu
        )

    def effort(self, n: int, lanes: int) -> int:
        c = self.correlation
        if n == 1 and c.is_product:
            return c.y[0] * -(-c.x[0] // lanes)
        return math.prod(c.y[:2]) * -(-c.y[2] * n // lanes) * c.x[0] * math.prod(c.kernel)


@step
class CorrelateInPlace(Step):
    """The sums of `taps`, which read x where it lies, `row` numbers for each row of y; see `tiles_of_strip`."""

    x: Value
    y: Value
    W: int
    b: int
    O: int
    Hy: int
    Wy: int
    W_row: int
    row: int
    taps: Array
    runs: Array
    tiles: int
    relu: bool
    subroutine: Subroutine = TILES

    def scratch(self, cut: Cut) -> int:
        return 2 * ROWS * cut.lanes  # a tile that reaches beyond its row

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        size, start = view(frame.arena, like).itemsize, FROM_ZERO if op.b < 0 else FROM_BIAS
        call(op.subroutine, (
            frame.arena + op.x * size, frame.theta + op.W * size, frame.tables + op.taps * 4,
            frame.tables + op.runs * 4, frame.theta + max(op.b, 0) * size, frame.arena + op.y * size, frame.scratch,
            op.row, op.W_row, op.tiles, op.Hy * op.Wy * n, op.Wy, n, 0, n, 0, op.Hy, 0, op.O, 0, start, op.relu,
        ))  # fmt: skip


@step
class CorrelateStrips(Step):
    """The sums of strips copied from x, `height` rows of y for a `block` of images at a time; see `_plan.Plan`."""

    x: Value
    y: Value | Part
    W: int
    b: int
    C: int
    H: int
    width: int
    O: int
    Hy: int
    Wy: int
    W_row: int
    stride: int
    taps: Array
    runs: Array
    tiles: int
    rows: Array
    pieces: Array
    count: int
    block: int
    height: int
    lines: int
    line: int
    relu: bool
    subroutine: Subroutine = TILES

    @classmethod
    def of(cls, x: Value, y: Value | Part, W: int, b: int, c: Correlation, cut: Cut, relu: bool) -> CorrelateStrips:
        """The step for a correlation. It reads nothing beyond x."""
        (C, H, width), (O, Hy, Wy) = c.x, c.y
        p = c.plan(cut, (Hy, Wy), 2 * cut.lanes, TILE_STRIP, c.W_strides[1])
        return cls(
            x, y, W, b, C, H, width, O, Hy, Wy, c.W_strides[0], c.stride[0], p.taps, p.runs, p.runs.shape[1], p.rows,
            p.pieces, len(p.pieces), p.block, p.height, p.lines, p.line, relu,
        )  # fmt: skip

    def scratch(self, cut: Cut) -> int:
        """The strip, on which a tile may reach two vectors beyond its row, and such a tile."""
        return self.C * self.lines * self.line + 2 * cut.lanes + 2 * ROWS * cut.lanes

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        x, strip, tables = view(frame.arena, like)[op.x :], view(frame.scratch, like), view(frame.tables, SINGLE)
        rows, pieces = tables[op.rows :], tables[op.pieces : op.pieces + 3 * op.count].reshape(op.count, 3)
        size, start = strip.itemsize, FROM_ZERO if op.b < 0 else FROM_BIAS
        C, block, height, lines, line, sh = op.C, op.block, op.height, op.lines, op.line, op.stride
        kh, width = lines - (height - 1) * sh, 2 * VECTOR_BYTES // size
        mixed = block % width != 0  # a tile over several columns reads the padding of some
        edge = C * lines * line + width  # behind the strip
        for first in range(0, n, block):
            for i0 in range(0, op.Hy, height):
                i1 = min(i0 + height, op.Hy)
                r0, r1 = i0 * sh, (i1 - 1) * sh + kh
                shape = (C, op.H, op.width, n)
                fill(strip, 0, x, 0, C, shape, first, rows, r0, r1, pieces, lines, line, block, mixed)
                call(op.subroutine, (
                    frame.scratch, frame.theta + op.W * size, frame.tables + op.taps * 4, frame.tables + op.runs * 4,
                    frame.theta + max(op.b, 0) * size, frame.arena + op.y * size, frame.scratch, line * sh, op.W_row,
                    op.tiles, op.Hy * op.Wy * n, op.Wy, n, first, block, i0, i1, 0, op.O, edge, start, op.relu,
                ))  # fmt: skip


@step
class KernelGradient(Step):
    """dW = Σ dy · x over pixels and images, in whichever way is best for a cut."""

    x: Value | Part
    dy: Value | Part
    dW: int
    correlation: Correlation

    def ready(self, cut: Cut) -> Step:
        from firstlight.kernels.ops import turned_gradient, winograd_gradient

        c = self.correlation
        if winograd_gradient.saves_products(c, cut):
            return winograd_gradient.WinogradGradient.of(self.x, self.dy, self.dW, c, cut)
        if turned_gradient.is_faster(c, cut):
            return turned_gradient.TurnedGradient.of(self.x, self.dy, self.dW, c, cut)
        (C, H, width), (O, Hy, Wy), area = c.x, c.y, math.prod(c.kernel)
        K, whole = C * area, Wy * cut.n % cut.lanes == 0 and not cut.half
        if c.inside and whole and c.reads_in_place(cut, DOT_STRIP, True):
            reads = c.reads(cut.n)
            reads = np.append(reads, np.full(-len(reads) % 4, reads[-1]))
            return DotsInPlace(self.x, self.dy, self.dW, O, Hy, Wy, K, c.stride[0] * width * cut.n, reads)
        kind = DotsStrips
        if cut.half:
            kind, cut = DotsOfHalves, replace(cut, lanes=2 * cut.lanes, itemsize=2)
        p = c.plan(cut, (Hy, Wy), cut.lanes, DOT_STRIP, area)
        direct = p.block == cut.n and whole  # whole vectors of dy lie as the dots want them
        y_line = Wy * cut.n if direct else -(-Wy * p.block // cut.lanes) * cut.lanes
        return kind(
            self.x, self.dy, self.dW, C, H, width, O, Hy, Wy, K, c.stride[0], p.reads, p.rows, p.pieces, len(p.pieces),
            np.arange(Hy), np.array([0, 0, Wy]), p.block, p.height, p.lines, p.line, y_line, direct,
        )  # fmt: skip


@step
class DotsInPlace(Step):
    """dW by dots that read x and dy where they lie, `row` numbers of x for each row of dy; see `dots_of_strip`."""

    x: Value | Part
    dy: Value | Part
    dW: int
    O: int
    Hy: int
    Wy: int
    K: int
    row: int
    reads: Array
    subroutine: Subroutine = DOTS

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        size = view(frame.arena, like).itemsize
        gradient_sums(frame, op.dW, op.O * op.K, like)
        call(op.subroutine, (
            frame.arena + op.x * size, frame.arena + op.dy * size, frame.tables + op.reads * 4,
            frame.gradient + op.dW * size, op.row, op.Hy * op.Wy * n, op.Wy * n, 0, op.O, op.K, op.Hy, op.Wy * n,
        ))  # fmt: skip


@step
class DotsStrips(Step):
    """dW by dots of strips copied from x and, unless it can be read where it lies (`direct`), from dy."""

    x: Value | Part
    dy: Value | Part
    dW: int
    C: int
    H: int
    width: int
    O: int
    Hy: int
    Wy: int
    K: int
    stride: int
    reads: Array
    rows: Array
    pieces: Array
    count: int
    y_rows: Array
    y_pieces: Array
    block: int
    height: int
    lines: int
    line: int
    y_line: int
    direct: bool
    subroutine: Subroutine = DOTS

    def scratch(self, cut: Cut) -> int:
        """The strip of x, on which a dot may read a vector more, and that of dy."""
        strip = self.C * self.lines * self.line + cut.lanes
        return strip + (0 if self.direct else self.O * self.height * self.y_line)

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        _dots(op, n, frame, like, like)


@step
class DotsOfHalves(DotsStrips):
    """The same of factors in bfloat16: each strip is copied, and then rounded where it lies."""

    subroutine: Subroutine = DOTS_OF_HALVES

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        _dots(op, n, frame, like, HALF)


@inner
def _dots(op, n, frame, like, factor):
    """The dots of strips whose numbers are rounded to `factor`, HALF, where that is not `like`."""
    x, dy, strip = view(frame.arena, like)[op.x :], view(frame.arena, like)[op.dy :], view(frame.scratch, like)
    tables = view(frame.tables, SINGLE)
    rows, pieces = tables[op.rows :], tables[op.pieces : op.pieces + 3 * op.count].reshape(op.count, 3)
    y_rows, y_pieces = tables[op.y_rows :], tables[op.y_pieces : op.y_pieces + 3].reshape(1, 3)
    C, O, Hy, Wy, sh = op.C, op.O, op.Hy, op.Wy, op.stride
    block, height, lines, line, y_line = op.block, op.height, op.lines, op.line, op.y_line
    size, kh = strip.itemsize, lines - (height - 1) * sh
    lanes = VECTOR_BYTES // size
    y_strip = C * lines * line + lanes
    y_copy = frame.scratch + y_strip * size
    gradient_sums(frame, op.dW, O * op.K, like)
    for first in range(0, n, block):
        for i0 in range(0, Hy, height):
            i1 = min(i0 + height, Hy)
            r0, r1 = i0 * sh, (i1 - 1) * sh + kh
            shape, y_shape = (C, op.H, op.width, n), (O, Hy, Wy, n)
            fill(strip, 0, x, 0, C, shape, first, rows, r0, r1, pieces, lines, line, block, True)
            narrow(strip, view(frame.scratch, factor), C * lines * line // lanes)
            if op.direct:
                y, y_row = frame.arena + (op.dy + i0 * y_line) * size, Hy * y_line
            else:
                fill(strip, y_strip, dy, 0, O, y_shape, first, y_rows, i0, i1, y_pieces, height, y_line, block, True)
                narrow(view(y_copy, like), view(y_copy, factor), O * height * y_line // lanes)
                y, y_row = y_copy, height * y_line
            call(op.subroutine, (
                frame.scratch, y, frame.tables + op.reads * 4, frame.gradient + op.dW * size, line * sh, y_row,
                y_line, 0, O, op.K, i1 - i0, Wy * block,
            ))  # fmt: skip


@step
class BiasGradient(Step):
    """db = Σ dy over pixels and images."""

    dy: Value
    db: int
    O: int
    pixels: int

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        sums, length = gradient_sums(frame, op.db, op.O, like), op.pixels * n
        for o in range(op.O):
            sums[o] += total(view(frame.arena, like), op.dy + o * length, length)
