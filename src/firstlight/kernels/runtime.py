"""Readies a graph for so many images at a time, and runs it: the memory, the tables, the cut."""

# ruff: noqa: E741  (O is the number of filters)

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import get_num_threads

from firstlight.kernels import ops as _operations  # noqa: F401  (they register themselves)
from firstlight.kernels._convolution import DOT_STRIP, TILE_STRIP
from firstlight.kernels._interpreter import Frame, address, run
from firstlight.kernels._plan import plan
from firstlight.kernels._tiles import ROWS, VECTOR_BYTES
from firstlight.kernels.graph import Correlation, Graph, Memory, Product, Step, Value
from firstlight.types import Array

FIELDS = 20
# What a thread's values may take of its second-level cache, where the batch can be cut into chunks.
CACHE = 1 << 20
# Vector instructions, of which a core does some in a nanosecond, that are done before another thread is awake.
SOON = 1 << 17
# What a tap of a pool takes in them, for one image alone, and in the loop over fewer images than a vector has lanes.
ALONE, ONE_BY_ONE = 3, 25
# What the transformed tiles may take of it, and the fewest channels and filters for which Winograd's way is faster.
TRANSFORMED, WIDE = 3 << 18, 16


@dataclass(frozen=True)
class Program:
    """A graph made ready for batches of `images`, of which a thread takes `size` at a time: see `run` and `Frame`.

    alone   whether no thread is woken for it, as it is soon done or one image; its images are then copied first
    arrays  what the frames point to, by name
    """

    size: int
    alone: bool
    ops: Array
    frames: Array
    arrays: dict[Frame, Array]

    @property
    def outputs(self) -> Array:
        """(K, images): what the net gave."""
        return self.arrays[Frame.OUTPUTS]

    @property
    def output_gradients(self) -> Array:
        """(K, images): the gradient by the outputs, to be written between the two halves."""
        return self.arrays[Frame.OUTPUT_GRADIENTS]

    @property
    def masks(self) -> Array:
        """uint8 (features, images): dropout's masks, to be written before."""
        return self.arrays[Frame.MASKS]

    @property
    def losses(self) -> Array:
        """float64 (images,): the cross-entropy of each, by its class weight."""
        return self.arrays[Frame.LOSSES]

    @property
    def correct(self) -> Array:
        """uint8 (images,): whether its most probable class is its label."""
        return self.arrays[Frame.CORRECT]


class Runtime:
    """Runs one graph over one vector of weights; it writes its results anew each time.

    Its memory is shared by all calls: hold `LOCK` from `program` until the results are read or copied.

    theta    the weights; those that are trained come first
    scale    with shift, (C, H, W): how the bytes of the images are prepared
    """

    def __init__(self, graph: Graph, theta: Array, trained: int, scale: Array, shift: Array) -> None:
        self.graph, self.theta = graph, theta
        self.places, self.features, self.winners = _place(graph.steps)
        self._gradients = np.zeros((get_num_threads(), trained), theta.dtype)
        self._fixed = {
            Frame.THETA: theta,
            Frame.CONSTANTS: np.array([*graph.constants, 0.0]),
            Frame.SCALE: np.ascontiguousarray(scale),
            Frame.SHIFT: np.ascontiguousarray(shift),
        }
        self._programs: dict[int, Program] = {}
        self._segments = [*zip([0, *graph.barriers], [*graph.barriers, len(graph.steps)], strict=True)]

    def program(self, images: int) -> Program:
        """The graph made ready for so many images and the threads that there are."""
        ready = self._programs.get(images)
        if ready is not None and ready.alone:
            return ready
        workers = get_num_threads()
        if workers != len(self._gradients):
            self._programs.clear()
            self._gradients = np.zeros((workers, self._gradients.shape[1]), self.theta.dtype)
        if images not in self._programs:
            if len(self._programs) >= 8:
                self._programs.clear()
            self._programs[images] = self._ready(images, workers)
        return self._programs[images]

    def gradients(self, program: Program) -> Array:
        """(threads that had images, trained): their sum in order is the gradient."""
        chunks = -(-int(program.frames[0, Frame.IMAGES]) // program.size)
        return self._gradients[:chunks]

    def evaluate(self, pixels: Array, index: Array | None = None) -> Array:
        """(K, n): what the net gives for the images of `pixels`, uint8 (n, H W C), until it is run again.

        index  of the images, only these (n,)

        Raises ValueError for images of another size.
        """
        program = self.program(len(pixels if index is None else index))
        if program.alone:
            self._must_fit(pixels)
            program.arrays[Frame.PIXELS][:] = pixels if index is None else pixels[index]
            run(program.ops, 0, len(self.graph.steps), program.frames, alone=True)
        else:
            self.run(program, pixels, np.arange(len(pixels)) if index is None else index, 0)
        return program.outputs

    def run(
        self, program: Program, pixels: Array, index: Array, labels: Array | int, part: slice = slice(None)
    ) -> None:
        """Run the segments of `part` for the images at `index` of `pixels`, uint8 (all images, H W C).

        Raises IndexError for an index outside them, ValueError for images of another size.
        """
        self._take(program, pixels, index, labels)
        for first, end in self._segments[part]:
            run(program.ops, first, end, program.frames)

    def step_by_step(self, program: Program, pixels: Array, index: Array, labels: Array) -> Iterator[int]:
        """Do the same a step at a time, for images that a single thread takes at once; yield how many are done."""
        self._take(program, pixels, index, labels)
        for step in range(len(self.graph.steps)):
            run(program.ops, step, step + 1, program.frames)
            yield step + 1

    def value(self, program: Program, value: Value) -> Array:
        """What lies at a value between two steps, (·, n): a view into the memory of the first thread."""
        start, size = self.places[value.memory] * program.size, value.size * program.size
        return program.arrays[Frame.ARENA][0, start : start + size].reshape(*value.shape, program.size)

    @property
    def lanes(self) -> int:
        """How many numbers a vector has."""
        return VECTOR_BYTES // int(self.theta.itemsize)

    def _must_fit(self, pixels: Array) -> None:
        size = self._fixed[Frame.SCALE].size
        if pixels.dtype != np.uint8 or pixels.shape[1] != size:
            raise ValueError(f"run: images of {pixels.shape[1]} {pixels.dtype}; {size} bytes are read.")

    def _take(self, program: Program, pixels: Array, index: Array, labels: Array | int) -> None:
        self._must_fit(pixels)
        if not 0 <= index.min() <= index.max() < len(pixels):
            raise IndexError(f"run: indices {index.min()}..{index.max()} of {len(pixels)} images.")
        program.arrays[Frame.INDEX][:] = index
        program.arrays[Frame.LABELS][:] = labels
        program.frames[:, Frame.PIXELS] = pixels.ctypes.data

    def _ready(self, images: int, workers: int) -> Program:
        kind, lanes = self.theta.dtype, self.lanes
        few = not self.graph.training and images < lanes
        alone = few and (images == 1 or images * self._effort(1) < SOON)
        workers = 1 if alone else workers
        size = -(-images // workers)
        if few and size * self._effort(1) < self._effort(size):
            size = 1
        elif size < lanes <= images:
            size = lanes  # a thread alone with whole vectors is faster than two with parts
        if not self.graph.barriers:  # nobody needs all of a thread's images at once: as many as the cache holds
            fits = max(1, CACHE // (max(1, self.features) * kind.itemsize) // lanes) * lanes
            if size > fits:
                size = -(-size // -(-size // fits) // lanes) * lanes
        chunks = -(-images // size)
        setup = _Setup(self.places, kind, self.graph.training)
        ops = np.zeros((2, len(self.graph.steps), FIELDS), np.int64)
        for row, n in enumerate((size, images - (chunks - 1) * size)):
            for k, step in enumerate(self.graph.steps):
                fields = setup.row(step, n)
                ops[row, k, : len(fields)] = fields
        masks = sum(math.prod(shape) for _, shape, _ in self.graph.masks)
        arrays = self._fixed | {
            Frame.ARENA: _aligned(workers, self.features * size + 4 * lanes, kind),
            Frame.WINNERS: np.empty((workers, self.winners * size), np.uint8),
            Frame.SCRATCH: _aligned(workers, setup.scratch, kind),
            Frame.GRADIENT: self._gradients,
            Frame.TABLES: np.concatenate([*setup.tables, np.zeros(1, np.int32)]),
            Frame.STATISTICS: np.zeros((chunks, self.graph.statistics)),
            Frame.INDEX: np.arange(images),
            **({Frame.PIXELS: np.empty((images, self._fixed[Frame.SCALE].size), np.uint8)} if alone else {}),
            Frame.LABELS: np.zeros(images, np.int64),
            Frame.MASKS: np.empty((masks, images), np.uint8),
            Frame.OUTPUTS: np.empty((self.graph.outputs, images), kind),
            Frame.OUTPUT_GRADIENTS: np.empty(
                (self.graph.outputs, images) if self.graph.takes_output_gradients else (0, 0), kind
            ),
            Frame.LOSSES: np.empty(images),
            Frame.CORRECT: np.empty(images, np.uint8),
        }
        frames = np.zeros((workers, len(Frame)), np.int64)
        for name, array in arrays.items():
            own = name in (Frame.ARENA, Frame.WINNERS, Frame.SCRATCH, Frame.GRADIENT)
            frames[:, name] = array.ctypes.data + np.arange(workers) * (array.strides[0] if own else 0)
        frames[:, Frame.IMAGES], frames[:, Frame.SIZE], frames[:, Frame.WORKERS] = images, size, workers
        frames[:, Frame.STATISTICS_STEP] = self.graph.statistics
        return Program(size, alone, ops, frames, arrays)

    def _effort(self, n: int) -> int:
        """About how many vector instructions n images of a chunk take in evaluation, fewer than a vector has lanes."""
        total = 0
        for step in self.graph.steps:
            if step.op == "TILES":
                c: Correlation = step.fields[4]
                if n == 1 and c.is_product:
                    total += c.y[0] * -(-c.x[0] // self.lanes)
                else:
                    total += math.prod(c.y[:2]) * -(-c.y[2] * n // self.lanes) * c.x[0] * math.prod(c.kernel)
            elif step.op == "MAX_POOL":
                _, _, _, C, _, _, Hy, Wy, kh, kw, *_ = step.fields
                total += C * Hy * Wy * kh * kw * (ALONE if n == 1 else n * ONE_BY_ONE)
        return total


class _Setup:
    """Turns steps into rows of numbers, and gathers the tables and the scratch memory that they need."""

    def __init__(self, places: dict[Memory, int], kind: Any, training: bool) -> None:
        self.places, self.kind, self.itemsize, self.training = places, kind, kind.itemsize, training
        self.lanes = VECTOR_BYTES // kind.itemsize
        self.tables: list[Array] = []
        self.scratch = 4 * ROWS * self.lanes
        self._filled = 0
        self._known: dict[bytes, int] = {}

    def row(self, step: Step, n: int) -> list[int]:
        """The row of `step` for n images: the address of its operation, and its fields."""
        fields = [self._number(value) for value in step.fields]
        op = step.op
        if n == 1 and not self.training and (one := self._of_one(step, fields)):
            op, fields = one
        elif op == "TILES" and self._saves_products(step.fields[4], n):
            op = "WINOGRAD"
            fields = self._winograd(step, fields, n)
        elif op == "TILES":
            fields = self._tiles(step, fields, n)
        elif op == "DOTS":
            fields = self._dots(step, fields, n)
        return [address(op, self.kind), *fields]

    def _of_one(self, step: Step, fields: list[int]) -> tuple[str, list[int]] | None:
        """What stands in the place of a step for one image alone, if anything does: see `ops.one_image`."""
        if step.op == "MAX_POOL":
            return "MAX_POOL_OF_ONE", fields
        if step.op == "TILES" and isinstance(c := step.fields[4], Correlation) and c.is_product:
            x, y, W, b, _, relu = fields
            return "TILES_OF_ONE", [x, y, W, b, c.x[0], c.y[0], relu]
        return None

    def _saves_products(self, c: Correlation | Product, n: int) -> bool:
        """Whether Winograd's way is the faster one (docs/log.md): 3×3, whole vectors of images, and wide enough."""
        return (
            isinstance(c, Correlation)
            and (c.kernel, c.stride, c.spread) == ((3, 3), (1, 1), (1, 1))
            and n % self.lanes == 0
            and min(c.x[0], c.y[0]) >= WIDE
            and self._taps(c) >= 1.5 * 16 * -(-c.y[1] // 2) * -(-c.y[2] // 2)
        )

    def _taps(self, c: Correlation) -> int:
        """Pairs of an output pixel and a tap that hits the image: the others cost nothing."""
        axes = zip(c.x[1:], c.y[1:], c.start, strict=True)
        rows, columns = (
            sum(0 <= i + r + start < size for i in range(out) for r in range(3)) for size, out, start in axes
        )
        return rows * columns

    def _winograd(self, step: Step, fields: list[int], n: int) -> list[int]:
        x, y, W_start, b, _, relu = fields
        c: Correlation = step.fields[4]
        (C, H, W), (O, Hy, Wy) = c.x, c.y
        top, left = -c.start[0], -c.start[1]
        T, down = -(-Wy // 2), -(-Hy // 2)
        block = next(block for block in (2 * self.lanes, self.lanes) if n % block == 0)
        budget = TRANSFORMED // (16 * (C + O) * T * self.itemsize)  # tile rows × images
        if budget < block:
            block = self.lanes
        R = min(down, max(1, budget // block))
        R = -(-down // -(-down // R))  # as many for each group
        stride = R * T * block
        stride += self.lanes if stride * self.itemsize % 4096 == 0 else 0  # channels apart in the cache
        rows = np.arange(2 * down + 2) - top
        rows[(rows < 0) | (rows >= H)] = -1
        first, cut = max(0, left), max(0, -left)  # columns of zeros before x, or of x left out
        channels = np.arange(C)
        tiles = -(-stride // (2 * self.lanes))
        parts = [
            [len(rows), tiles], rows, [first, cut, max(0, min(W - cut, 2 * T + 2 - first))],
            np.stack([channels * stride, channels], 1).ravel(), np.tile([0, C], tiles),
        ]  # fmt: skip
        at = self._append(np.concatenate([np.asarray(part, np.int32) for part in parts]))
        strip = C * (2 * R + 2) * (2 * T + 2) * block
        filters = O * -(-C // self.lanes) * self.lanes
        self._need_scratch(strip + 16 * (filters + (C + O) * stride) + 100 * self.lanes)  # and what parts them
        return [x, y, W_start, b, C, H, W, O, Hy, Wy, *c.W_strides, c.flipped, at, block, R, stride, relu]

    def _tiles(self, step: Step, fields: list[int], n: int) -> list[int]:
        x, y, W, b, _, relu = fields
        c: Correlation | Product = step.fields[4]
        if isinstance(c, Product):
            reads = np.arange(n)
            runs = np.tile(np.array([0, n]), (1, -(-c.K // (2 * self.lanes)), 1))
            at = self._table(np.stack([reads * c.K, reads], 1), runs)
            return [x, y, W, b, 0, 0, 0, c.O, 1, c.K, 0, 0, at]
        (C, H, width), (O, Hy, Wy), (kh, kw) = c.x, c.y, c.kernel
        head = [x, y, W, b, C, H, width, O, Hy, Wy, c.W_strides[0], c.stride[0]]
        if c.inside and self._reads_in_place(C, H * width * n, TILE_STRIP, kh * kw > 1):
            reads = _reads(c, n)
            channel, tap = np.ogrid[:C, : kh * kw]
            weighs = channel * c.W_strides[1] + (kh * kw - 1 - tap if c.flipped else tap)
            runs = np.empty((Hy, -(-Wy * n // (2 * self.lanes)), 2), np.int32)
            runs[:] = 0, C * kh * kw
            at = self._table(np.stack([reads, weighs.ravel()], 1), runs)
            return [*head, at, 0, 0, 0, 0, relu]
        p = plan(
            (C, H, width, n), (Hy, Wy), c.kernel, c.stride, c.spread, c.start, c.W_strides[1], c.flipped, self.lanes,
            2 * self.lanes, self.itemsize, TILE_STRIP, 1,
        )  # fmt: skip
        self._need_scratch(C * p.lines * p.line + 2 * self.lanes + 2 * ROWS * self.lanes)
        at = self._table(p.taps, p.runs, p.rows, p.pieces)
        return [*head, at, p.block, p.height, p.lines, p.line, relu]

    def _dots(self, step: Step, fields: list[int], n: int) -> list[int]:
        x, dy, W, _ = fields
        c: Correlation = step.fields[3]
        (C, H, width), (O, Hy, Wy), (kh, kw) = c.x, c.y, c.kernel
        K = C * kh * kw
        head = [x, dy, W, C, H, width, O, Hy, Wy, K, c.stride[0]]
        if c.inside and Wy * n % self.lanes == 0 and self._reads_in_place(C, H * width * n, DOT_STRIP, True):
            reads = _reads(c, n)
            reads = np.append(reads, np.full(-len(reads) % 4, reads[-1]))
            return [*head, self._table(reads=reads)]
        p = plan(
            (C, H, width, n), (Hy, Wy), c.kernel, c.stride, (1, 1), c.start, kh * kw, False, self.lanes, self.lanes,
            self.itemsize, DOT_STRIP, 1,
        )  # fmt: skip
        direct = p.block == n and Wy * n % self.lanes == 0
        y_line = Wy * n if direct else -(-Wy * p.block // self.lanes) * self.lanes
        self._need_scratch(C * p.lines * p.line + self.lanes + (0 if direct else O * p.height * y_line))
        at = self._table(p.taps[:0], p.runs[:, :0], p.rows, p.pieces, p.reads)
        whole = self._append(np.append(np.arange(Hy), [0, 0, Wy]))
        return [*head, at, p.block, p.height, p.lines, p.line, y_line, direct, whole]

    def _reads_in_place(self, C: int, plane: int, limit: int, many: bool) -> bool:
        """Whether x is best read where it lies: it is small, and its channels do not fall on the same cache lines."""
        return not many or (C * plane * self.itemsize <= limit and (C < 8 or plane * self.itemsize % 4096 != 0))

    def _table(self, taps: Any = (), runs: Any = None, rows: Any = (), pieces: Any = (), reads: Any = ()) -> int:
        """Keep the tables of a convolution; return where they start."""
        runs = np.zeros((0, 0, 2)) if runs is None else runs
        parts = [np.asarray(part, np.int32).ravel() for part in (taps, runs, rows, pieces, reads)]
        head = [len(parts[0]) // 2, runs.shape[1], len(parts[2]), len(parts[3]) // 3, len(parts[4])]
        return self._append(np.concatenate([np.array(head, np.int32), *parts]))

    def _append(self, table: Array) -> int:
        table = table.astype(np.int32)
        key = table.tobytes()
        if key not in self._known:
            self._known[key] = self._filled
            self.tables.append(table)
            self._filled += len(table)
        return self._known[key]

    def _need_scratch(self, size: int) -> None:
        self.scratch = max(self.scratch, size)

    def _number(self, value: Any) -> int:
        if isinstance(value, tuple):
            return self._number(value[0]) + int(value[1])
        if isinstance(value, Value):
            return self.places[value.memory]
        return 0 if isinstance(value, Correlation | Product) else int(value)


def _reads(c: Correlation, n: int) -> Array:
    """Where each tap of each channel reads in x as it lies, for n images."""
    (C, H, width), (kh, kw) = c.x, c.kernel
    channel, row, column = np.ogrid[:C, :kh, :kw]
    reads: Array = (((channel * H + row) * width + column) * n).ravel()
    return reads


def _place(steps: list[Step]) -> tuple[dict[Memory, int], int, int]:
    """Where each memory lies, in features, and how many there are of both kinds: it is taken for as long as needed."""
    spans: dict[Memory, tuple[int, int]] = {}
    for k, step in enumerate(steps):
        for value in step.fields:
            value = value[0] if isinstance(value, tuple) else value
            if isinstance(value, Value):
                spans[value.memory] = (spans.get(value.memory, (k, k))[0], k)
    places: dict[Memory, int] = {}
    ends = [0, 0]
    for memory, (first, last) in spans.items():
        taken = sorted(
            (places[other], places[other] + other.size)
            for other in places
            if other.small == memory.small and spans[other][0] <= last and first <= spans[other][1]
        )
        at = 0
        for start, end in taken:
            if at + memory.size <= start:
                break
            at = max(at, end)
        places[memory] = at
        ends[memory.small] = max(ends[memory.small], at + memory.size)
    return places, ends[0], ends[1]


def _aligned(workers: int, size: int, kind: Any) -> Array:
    """Zeros (workers, size or more), each row on a vector's boundary."""
    size = -(-size * kind.itemsize // VECTOR_BYTES) * VECTOR_BYTES
    memory = np.zeros(workers * size + VECTOR_BYTES, np.uint8)
    skip = -memory.ctypes.data % VECTOR_BYTES
    return memory[skip : skip + workers * size].view(kind).reshape(workers, -1)
