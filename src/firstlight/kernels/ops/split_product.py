"""Products of large weights in training: the threads share out the rows of W, and each takes its own for all images.

Where threads share out the images alone, each reads all of W, writes a dW of its own, and the optimizer, which moves a
half of the weights in each, reads both: every line of them changes the core once and again, which for the weights of a
dense layer takes longer than its products. Here a row of W, its gradient and its moments stay with one core, and the
smaller x, y and dy change it. Let R be a thread's rows:

    y_R = W_R x + b_R,    dW_R = dy_R xᵀ,    dx = Σ W_Rᵀ dy_R over the threads

so that threads wait for each other before x and dy are read, and before y and the sums that make dx are. Where x is
the images, each thread gathers all of them for itself.
"""

# Numba infers the types of compiled functions, and O is the number of rows.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"
# ruff: noqa: E741, N815

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from firstlight.kernels._interpreter import call, view
from firstlight.kernels._jit import inner
from firstlight.kernels._tiles import FROM_BIAS, FROM_TARGET, FROM_ZERO, ROWS, TILES
from firstlight.kernels._vectors import VECTOR_BYTES, add_vectors, copy_vectors, turn_rows
from firstlight.kernels.graph import Graph
from firstlight.kernels.operation import Cut, Slot, Step, Subroutine, Value, slot_start, step
from firstlight.kernels.ops.convolution import Correlate, Correlation, bias_gradient
from firstlight.kernels.ops.gather import images_of
from firstlight.kernels.ops.product import ProductGradient, panels_of, sum_panels
from firstlight.types import Array

# Images, and numbers of each, that are taken at a time, so that they stay in the second-level cache.
IMAGES, NUMBERS = 128, 512


def split_product(graph: Graph, x: Value, W: Slot, b: Slot | None) -> Value:
    """y = W x + b, as `product` writes it where W is small."""
    O, K = W.shape[0], x.size
    trains = x.requires_grad or W.trainable or (b is not None and b.trainable)
    y = graph.value((O,), trains, may_overwrite=True)
    whole = x.memory is images_of(graph)
    graph.split.append(W)
    graph.summed += [O] if x.requires_grad else []
    graph.wait_to_split()
    graph.can_rectify(y, graph.append(SplitProduct(x, y, W.start, slot_start(b), K, O, whole)))
    graph.wait_to_split()

    def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
        bias_gradient(graph, dy, b)
        graph.wait_to_split()
        if x.requires_grad:
            graph.append(SplitProductBack(dy, W.start, K, O))
        if W.trainable:
            graph.append(SplitGradient(x, dy, W.start, O, K, whole))
        graph.wait_to_split()
        if not x.requires_grad:
            return ()
        dx = graph.value(x.shape)
        graph.append(SplitProductSum(dy, dx, W.start, K, O))
        return ((x, dx),)

    graph.on_backward(y, backward)
    return y


def rows_of(O, chunk, chunks):
    """The first of a thread's rows; that of the next one is their end."""
    return O if chunk == chunks else O * chunk // chunks // 4 * 4


_rows_of = inner(rows_of)


def _most_rows(O: int, cut: Cut) -> int:
    chunks = -(-cut.images // cut.size)
    return max(rows_of(O, c + 1, chunks) - rows_of(O, c, chunks) for c in range(chunks))


def _runs(counts: Sequence[int], images: int, cut: Cut) -> Array:
    """For each count, as many runs of so many taps as a row of so many images has tiles."""
    return np.repeat([[0, count] for count in counts], -(-images // (2 * cut.lanes)), 0)


@step
class SplitProduct(Step):
    """y = W x + b in training."""

    x: Value
    y: Value
    W: int
    b: int
    K: int
    O: int
    whole: bool
    relu: bool = False
    reads_batch = True

    def ready(self, cut: Cut) -> Step:
        K, O = self.K, self.O
        if not cut.split:
            forward = Correlation((K, 1, 1), (O, 1, 1), (K, 1))
            return Correlate(self.x, self.y, self.W, self.b, forward, self.relu).ready(cut)
        images, numbers = min(IMAGES, cut.images), min(NUMBERS, K)
        taps = np.stack([np.arange(numbers) * images, np.arange(numbers)], 1)
        runs = _runs([numbers, K % numbers or numbers], images, cut)
        whole, rows = self.whole and cut.batch, _most_rows(O, cut)
        return RowsOfProduct(
            self.x, self.y, self.W, self.b, K, O, self.relu, whole, images, numbers, rows, taps, runs
        )  # fmt: skip


@step
class RowsOfProduct(Step):
    """y_R = W_R x + b_R, for some images (`at_once`) and `numbers` of x at a time.

    whole  whether x lies in the thread's own batch
    rows   the most that a thread has
    """

    x: Value
    y: Value
    W: int
    b: int
    K: int
    O: int
    relu: bool
    whole: bool
    at_once: int
    numbers: int
    rows: int
    taps: Array
    runs: Array
    subroutine: Subroutine = TILES

    def scratch(self, cut: Cut) -> int:
        """A tile that reaches beyond its row, x, on which tiles read two vectors beyond it, and y."""
        return 2 * ROWS * cut.lanes + (self.numbers + self.rows) * self.at_once + 2 * cut.lanes

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        scratch = view(frame.scratch, like)
        size, width = scratch.itemsize, 2 * VECTOR_BYTES // scratch.itemsize
        chunks = -(-frame.images // frame.size)
        first, end = _rows_of(op.O, chunk, chunks), _rows_of(op.O, chunk + 1, chunks)
        K, at_once, numbers = op.K, op.at_once, op.numbers
        y_at = ROWS * width
        x_at = y_at + op.rows * at_once
        tiles = -(-at_once // width)
        for i0 in range(0, frame.images, at_once):
            images = min(at_once, frame.images - i0)
            for k0 in range(0, K, numbers):
                count = min(numbers, K - k0)
                row = k0 if op.whole else op.x // n + k0
                gather_rows(frame, chunk, like, op.whole, row, count, i0, images, scratch[x_at:], at_once)
                start = FROM_TARGET if k0 else FROM_ZERO if op.b < 0 else FROM_BIAS
                last = k0 + count == K
                call(op.subroutine, (
                    frame.scratch + x_at * size, frame.theta + (op.W + first * K + k0) * size,
                    frame.tables + op.taps * 4, frame.tables + (op.runs + (2 * tiles if last else 0)) * 4,
                    frame.theta + max(op.b + first, 0) * size, frame.scratch + y_at * size, frame.scratch,
                    0, K, -(-images // width), at_once, 1, images, 0, images, 0, 1, 0, end - first, 0, start,
                    op.relu if last else 0,
                ))  # fmt: skip
            scatter_rows(frame, chunk, like, op.y // n + first, end - first, i0, images, scratch[y_at:], at_once)


@step
class SplitGradient(Step):
    """dW = dy xᵀ."""

    x: Value
    dy: Value
    dW: int
    O: int
    K: int
    whole: bool
    reads_batch = True

    def ready(self, cut: Cut) -> Step:
        if not cut.split:
            return ProductGradient(self.x, self.dy, self.dW, self.O, self.K).ready(cut)
        panels, taps, runs = panels_of(self.K, cut.images, cut)
        rows, whole = _most_rows(self.O, cut), self.whole and cut.batch
        return RowsOfGradient(self.x, self.dy, self.dW, self.O, self.K, whole, panels, rows, taps, runs)


@step
class RowsOfGradient(Step):
    """dW_R = dy_R xᵀ, for some panels of xᵀ at a time: see `sum_panels`. They are the whole gradient by these rows."""

    x: Value
    dy: Value
    dW: int
    O: int
    K: int
    whole: bool
    panels: int
    rows: int
    taps: Array
    runs: Array
    subroutine: Subroutine = TILES

    def scratch(self, cut: Cut) -> int:
        """A tile that reaches beyond its row, the rows of dy, and the panels."""
        return 2 * cut.lanes * (ROWS + self.panels * cut.images) + self.rows * cut.images

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        scratch = view(frame.scratch, like)
        size, width = scratch.itemsize, 2 * VECTOR_BYTES // scratch.itemsize
        N, K = frame.images, op.K
        chunks = -(-N // frame.size)
        first, end = _rows_of(op.O, chunk, chunks), _rows_of(op.O, chunk + 1, chunks)
        y_at = ROWS * width
        x_at = y_at + op.rows * N
        dW = frame.gradient - chunk * frame.gradient_step + (op.dW + first * K) * size
        gather_rows(frame, chunk, like, False, op.dy // n + first, end - first, 0, N, scratch[y_at:], N)
        row, parts, step = (0, 1, N) if op.whole else (op.x // n, chunks, frame.size)
        for k0 in range(0, K, op.panels * width):
            k1 = min(K, k0 + op.panels * width)
            for c in range(parts):
                seen, images = _part(frame, chunk, like, op.whole, c), min(step, N - c * step)
                for k in range(k0, k1, width):
                    at = x_at + (k - k0) * N + c * step * width
                    turn_rows(seen, (row + k) * images, images, scratch, at, width, min(width, k1 - k))
            sum_panels(
                op, frame, like, frame.scratch + x_at * size, frame.scratch + y_at * size, dW, N, k0, k1, end - first,
                FROM_ZERO,
            )  # fmt: skip


@step
class SplitProductBack(Step):
    """What the rows of each thread give of dx, for the others to read; nothing where they are not shared out."""

    dy: Value
    W: int
    K: int
    O: int

    def ready(self, cut: Cut) -> Step:
        if not cut.split:
            return Nothing(self.dy)
        chunks, rows = -(-cut.images // cut.size), np.arange(_most_rows(self.O, cut))
        counts = [rows_of(self.O, c + 1, chunks) - rows_of(self.O, c, chunks) for c in range(chunks)]
        return RowsOfProductBack(
            self.dy, self.W, self.K, self.O, len(rows), np.stack([rows * cut.images, rows * self.K], 1),
            _runs(counts, min(IMAGES, cut.images), cut),
        )  # fmt: skip


@step
class RowsOfProductBack(Step):
    """W_Rᵀ dy_R (K, images)."""

    dy: Value
    W: int
    K: int
    O: int
    rows: int
    taps: Array
    runs: Array
    subroutine: Subroutine = TILES

    def scratch(self, cut: Cut) -> int:
        """A tile that reaches beyond its row, and the rows of dy, on which tiles read two vectors beyond it."""
        return 2 * cut.lanes * (ROWS + 1) + self.rows * cut.images

    def exchange(self, cut: Cut) -> int:
        return self.K * cut.images

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        scratch = view(frame.scratch, like)
        size, width = scratch.itemsize, 2 * VECTOR_BYTES // scratch.itemsize
        N, K = frame.images, op.K
        chunks = -(-N // frame.size)
        first, end = _rows_of(op.O, chunk, chunks), _rows_of(op.O, chunk + 1, chunks)
        at, tiles = ROWS * width, -(-min(IMAGES, N) // width)
        gather_rows(frame, chunk, like, False, op.dy // n + first, end - first, 0, N, scratch[at:], N)
        for i0 in range(0, N, IMAGES):
            images = min(IMAGES, N - i0)
            call(op.subroutine, (
                frame.scratch + (at + i0) * size, frame.theta + (op.W + first * K) * size,
                frame.tables + op.taps * 4, frame.tables + (op.runs + 2 * tiles * chunk) * 4, frame.theta,
                frame.exchange + i0 * size, frame.scratch,
                0, 1, -(-images // width), N, 1, images, 0, images, 0, 1, 0, K, 0, FROM_ZERO, 0,
            ))  # fmt: skip


@step
class SplitProductSum(Step):
    """dx = Wᵀ dy."""

    dy: Value
    dx: Value
    W: int
    K: int
    O: int

    def ready(self, cut: Cut) -> Step:
        K, O = self.K, self.O
        if not cut.split:
            return Correlate(self.dy, self.dx, self.W, -1, Correlation((O, 1, 1), (K, 1, 1), (1, K))).ready(cut)
        return SumOfProducts(self.dx, K)


@step
class SumOfProducts(Step):
    """dx = Σ W_Rᵀ dy_R over the threads."""

    dx: Value
    K: int

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        dx, N = view(frame.arena, like)[op.dx :], frame.images
        for c in range(-(-N // frame.size)):
            part = view(frame.exchange + (c - chunk) * frame.exchange_step, like)
            for k in range(op.K):
                if c:
                    add_vectors(dx, k * n, part, k * N + n0, n)
                else:
                    copy_vectors(dx, k * n, part, k * N + n0, n)


@step
class Nothing(Step):
    """What another step does."""

    dy: Value

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        pass


@inner
def _part(frame, chunk, like, whole, c):
    """The values of chunk c; the thread's own batch where that has the `whole`."""
    return view(frame.batch if whole else frame.arena + (c - chunk) * frame.arena_step, like)


@inner
def gather_rows(frame, chunk, like, whole, row, rows, i0, images, to, stride):
    """to[r · stride + i] = the number of image i0 + i in the r-th row of a value from its `row` on, for all chunks."""
    size = frame.images if whole else frame.size
    for c in range(-(-frame.images // size)):
        n = min(size, frame.images - c * size)
        first, end = max(i0, c * size), min(i0 + images, c * size + n)
        if first < end:
            seen = _part(frame, chunk, like, whole, c)
            for r in range(rows):
                copy_vectors(to, r * stride + first - i0, seen, (row + r) * n + first - c * size, end - first)


@inner
def scatter_rows(frame, chunk, like, row, rows, i0, images, x, stride):
    """The other way round."""
    size = frame.size
    for c in range(-(-frame.images // size)):
        n = min(size, frame.images - c * size)
        first, end = max(i0, c * size), min(i0 + images, c * size + n)
        if first < end:
            to = view(frame.arena + (c - chunk) * frame.arena_step, like)
            for r in range(rows):
                copy_vectors(to, (row + r) * n + first - c * size, x, r * stride + first - i0, end - first)
