"""Readies a graph for so many images at a time, and runs it: the memory, the tables, the cut."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import get_num_threads

from firstlight.kernels import _masks
from firstlight.kernels._interpreter import FRAME, OWN, address, run
from firstlight.kernels._vectors import VECTOR_BYTES
from firstlight.kernels.graph import Graph
from firstlight.kernels.operation import Cut, Memory, Part, Step, Subroutine, Value
from firstlight.kernels.ops.gather import GATHERED, each_gathers
from firstlight.types import Array

# With this variable of the environment set, every step is run by itself, and what lies round the memory of each thread
# is looked at after it: a step that writes beyond its place is named. Slower, and cut into other chunks.
CHECKED = "FIRSTLIGHT_CHECK_KERNELS"
GUARD, MARK = 256, 77  # numbers behind each memory, and what they hold; the scratch memory has as many
READ_ONLY = ("tables", "class_weights", "scale", "shift", "index", "labels", "masks")
# What a thread's values may take of its second-level cache, where the batch can be cut into chunks.
CACHE = 1 << 20
# What the values of a batch may take of memory where threads share out the rows of weights: each then holds all of its
# images at once.
SPLIT = 1 << 28
# And the images for each row of weights: the more there are, the more of a product with few rows is the exchange of
# what is summed over the threads. Measured with 64 and 128 rows of 1,568: slower from 64 images on, faster with 32.
PER_ROW = 1
# Vector instructions, of which a core does some in a nanosecond, that are done before another thread is awake.
SOON = 1 << 17


@dataclass(frozen=True)
class Program:
    """A graph made ready for batches of so many images: see `run` and `FRAME`.

    cuts    what it is made ready for: chunks of full size, and the last one
    alone   whether no thread is woken for it, as it is soon done or one image; its images are then copied first
    bounds  int64: the first step, those before which all threads wait, and the number of steps
    arrays  what the frames point to, by name
    """

    cuts: tuple[Cut, Cut]
    alone: bool
    bounds: Array
    ops: Array
    frames: Array
    arrays: dict[str, Array]

    @property
    def size(self) -> int:
        """The images that a thread takes at a time."""
        return self.cuts[0].n

    @property
    def outputs(self) -> Array:
        """(K, images): what the net gave."""
        return self.arrays["outputs"]

    @property
    def output_gradients(self) -> Array:
        """(K, images): the gradient with respect to the outputs, to be written between the two halves."""
        return self.arrays["output_gradients"]

    @property
    def masks(self) -> Array:
        """uint8 (features, images): dropout's masks, to be written before."""
        return self.arrays["masks"]

    @property
    def losses(self) -> Array:
        """float64 (images,): the cross-entropy of each, by its class weight."""
        return self.arrays["losses"]

    @property
    def correct(self) -> Array:
        """uint8 (images,): whether its most probable class is its label."""
        return self.arrays["correct"]


class Runtime:
    """Runs one graph over one vector of weights; it writes its results again each time.

    Its memory is shared by all calls: hold `LOCK` from `program` until the results are read or copied.

    theta    the weights; those that are trained come first
    scale    with shift, (C, H, W): how the bytes of the images are prepared
    half     whether products are of factors in bfloat16
    """

    def __init__(
        self, graph: Graph, theta: Array, trained: int, scale: Array, shift: Array, half: bool = False
    ) -> None:
        self.graph, self.theta, self.half = graph, theta, half
        self.places, self.features, self.winners = _place(graph.steps)
        self._gradients = np.zeros((get_num_threads(), trained), theta.dtype)
        self._fixed = {
            "theta": theta,
            "class_weights": np.array([*graph.class_weights, 0.0], np.float64),
            "scale": np.ascontiguousarray(scale),
            "shift": np.ascontiguousarray(shift),
        }
        self._programs: dict[int, Program] = {}
        self._mask_starts = np.cumsum([0, *(math.prod(shape) for _, shape, _ in graph.masks)])
        self._kept_from = np.array([_masks.least(rate) for _, _, rate in graph.masks], np.uint64)
        self._shared = False  # whether several threads have written sums by weights whose rows they else share out
        self._largest = max((math.prod(slot.shape) for slot in graph.split), default=0)

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
        chunks = -(-int(program.frames["images"][0]) // program.size)
        return self._gradients[:chunks]

    def draw(self, program: Program, key: Callable[[str], bytes]) -> None:
        """Draw dropout's masks of a step; `key` finds each layer's, as `philox_key` makes them, by its path."""
        if not self.graph.masks:
            return
        starts = self._mask_starts * program.masks.shape[1]
        keys = np.frombuffer(b"".join(key(path) for path, _, _ in self.graph.masks), "<u8").reshape(-1, 2)
        workers = max(1, min(len(self._gradients), int(starts[-1]) // (_masks.SHARE * _masks.PER_BLOCK)))
        _masks.draw(program.masks.reshape(-1), starts, keys, self._kept_from, workers, alone=workers == 1)

    def evaluate(self, pixels: Array, index: Array | None = None) -> Array:
        """(K, n): what the net gives for the images of `pixels`, uint8 (n, H W C), until it is run again.

        index  of the images, only these (n,)

        Raises ValueError for images of another size.
        """
        program = self.program(len(pixels if index is None else index))
        if program.alone and not checked():
            self._must_fit(pixels)
            program.arrays["pixels"][:] = pixels if index is None else pixels[index]
            run(program.ops, program.bounds, program.frames, alone=True)
        else:
            self.run(program, pixels, np.arange(len(pixels)) if index is None else index, 0)
        return program.outputs

    def run(
        self,
        program: Program,
        pixels: Array,
        index: Array,
        labels: Array | int,
        first: int = 0,
        end: int | None = None,
    ) -> None:
        """Run the steps from the `first` on for the images at `index` of `pixels`, uint8 (all images, H W C).

        Raises IndexError for an index outside them, ValueError for images of another size.
        """
        self._take(program, pixels, index, labels)
        if program.cuts[0].split and self._shared:
            for slot in self.graph.split:  # of the others' sums nothing is left where one thread's is the whole
                self._gradients[1:, slot.start : slot.start + math.prod(slot.shape)] = 0
        self._shared = not program.cuts[0].split
        end = len(self.graph.steps) if end is None else end
        if checked():
            self._run_checked(program, first, end)
        else:
            first, last = np.searchsorted(program.bounds, (first, end))
            run(program.ops, program.bounds[first : last + 1], program.frames)

    def step_by_step(self, program: Program, pixels: Array, index: Array, labels: Array) -> Iterator[int]:
        """Do the same a step at a time, for images that a single thread takes at once; yield how many are done."""
        self._take(program, pixels, index, labels)
        for step in range(len(self.graph.steps)):
            run(program.ops, np.array([step, step + 1]), program.frames)
            yield step + 1

    def _run_checked(self, program: Program, first: int, end: int) -> None:
        """Run steps one by one. Raises AssertionError that names one which writes where it must not."""
        both = [(self._steps(cut), cut) for cut in program.cuts]
        for k in range(first, end):
            guards = Guards(program.arrays, max(steps[k].scratch(cut) for steps, cut in both))
            run(program.ops, np.array([k, k + 1]), program.frames)
            if found := guards.broken():
                path = self.graph.steps[k].path or "the net"
                raise AssertionError(f"The step {both[0][0][k].name} of {path} writes beyond its {found}.")

    def value(self, program: Program, value: Value) -> Array:
        """What lies at a value between two steps, (·, n): a view into the memory of the first thread."""
        start, size = self.places[value.memory] * program.size, value.size * program.size
        return program.arrays["arena"][0, start : start + size].reshape(*value.shape, program.size)

    @property
    def lanes(self) -> int:
        """How many numbers a vector has."""
        return VECTOR_BYTES // int(self.theta.itemsize)

    def _must_fit(self, pixels: Array) -> None:
        size = self._fixed["scale"].size
        if pixels.dtype != np.uint8 or pixels.shape[1] != size:
            raise ValueError(f"run: images of {pixels.shape[1]} {pixels.dtype}; {size} bytes are read.")

    def _take(self, program: Program, pixels: Array, index: Array, labels: Array | int) -> None:
        self._must_fit(pixels)
        if not 0 <= index.min() <= index.max() < len(pixels):
            raise IndexError(f"run: indices {index.min()}..{index.max()} of {len(pixels)} images.")
        program.arrays["index"][:] = index
        program.arrays["labels"][:] = labels
        program.frames["pixels"] = pixels.ctypes.data

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
        pays = all(images < PER_ROW * rows for rows in self.graph.summed)
        split = bool(self.graph.splits) and pays and images * self.features * kind.itemsize <= SPLIT
        batch = split and workers > 1 and each_gathers(self.graph)
        # The first of them is for the images of the others.
        splits = [step for step in self.graph.splits if split and not (batch and step == GATHERED)]
        waits = sorted({*self.graph.barriers, *splits})
        if not waits and not checked():
            # Nobody needs all of a thread's images at once: as many as the cache holds, and no fewer than pay for
            # reading the weights of a large product from further away.
            most = max(CACHE, self._largest * kind.itemsize // 3)
            fits = max(1, most // (max(1, self.features) * kind.itemsize) // lanes) * lanes
            if size > fits:
                size = -(-size // -(-size // fits) // lanes) * lanes
        chunks = -(-images // size)
        whole = Cut(size, lanes, int(kind.itemsize), self.graph.training, self.half, images, size, split, batch)
        cuts = whole, replace(whole, n=images - (chunks - 1) * size)
        rows = [(self._steps(cut), cut) for cut in cuts]
        tables = Tables()
        ops = _stacked([compiled(steps, kind, tables, self._at(cut.n)) for steps, cut in rows])
        scratch = max((step.scratch(cut) for steps, cut in rows for step in steps), default=0)
        guard = GUARD if checked() else 0
        masks = sum(math.prod(shape) for _, shape, _ in self.graph.masks)
        gradients = (self.graph.outputs, images) if self.graph.takes_output_gradients else (0, 0)
        arrays = self._fixed | {
            "arena": aligned(workers, self.features * size + 4 * lanes + guard, kind),
            "winners": np.empty((workers, self.winners * size + guard), np.uint8),
            "scratch": aligned(workers, scratch + guard, kind),
            "exchange": aligned(workers, max(step.exchange(cut) for steps, cut in rows for step in steps), kind),
            "batch": aligned(workers, self._fixed["scale"].size * images if batch else 0, kind),
            "gradient": self._gradients,
            "tables": tables.joined(),
            "statistics": np.zeros((chunks, self.graph.statistics)),
            "index": np.arange(images),
            **({"pixels": np.empty((images, self._fixed["scale"].size), np.uint8)} if alone else {}),
            "labels": np.zeros(images, np.int64),
            "masks": np.empty((masks, images), np.uint8),
            "outputs": np.empty((self.graph.outputs, images), kind),
            "output_gradients": np.empty(gradients, kind),
            "losses": np.empty(images),
            "correct": np.empty(images, np.uint8),
        }
        frames = np.zeros(workers, FRAME)
        for name, array in arrays.items():
            frames[name] = array.ctypes.data + np.arange(workers) * (array.strides[0] if name in OWN else 0)
        frames["images"], frames["size"], frames["workers"] = images, size, workers
        frames["statistics_step"] = self.graph.statistics
        for name in ("arena", "exchange", "gradient"):
            frames[f"{name}_step"] = arrays[name].strides[0]
        bounds = np.array(sorted({0, *waits, self.graph.forward_steps, len(self.graph.steps)}))
        return Program(cuts, alone, bounds, ops, frames, arrays)

    def _at(self, n: int) -> Callable[[Value, int], int]:
        return lambda value, start: (self.places[value.memory] + start) * n

    def _steps(self, cut: Cut) -> list[Step]:
        """The steps that do it for chunks of a cut."""
        return [step.ready(cut) for step in self.graph.steps]

    def _effort(self, n: int) -> int:
        """About how many vector instructions n images of a chunk take in evaluation, fewer than a vector has lanes."""
        return sum(step.effort(n, self.lanes) for step in self.graph.steps)


class Guards:
    """What lies behind the memory of each thread, and behind what a step has said that it needs of the scratch memory.

    Gradients and what is handed out have no guard: they lie in whole arrays, of which a step writes its part.
    """

    def __init__(self, arrays: Mapping[str, Array], scratch: int) -> None:
        self.places = {name: arrays[name][:, -GUARD:] for name in ("arena", "winners")}
        self.places["scratch"] = arrays["scratch"][:, scratch:]
        for place in self.places.values():
            place[...] = MARK
        self.arrays = arrays
        self.before = {name: arrays[name].copy() for name in READ_ONLY}

    def broken(self) -> str:
        """The memory beyond which something was written, if any."""
        for name, place in self.places.items():
            if (place != MARK).any():
                return f"{name} memory"
        for name, before in self.before.items():
            if not np.array_equal(self.arrays[name], before):
                return f"own memory, into {name}"
        return ""


def checked() -> bool:
    """Whether steps are checked as they run."""
    return bool(os.environ.get(CHECKED))


class Tables:
    """Arrays of int32 one after another, each of them once."""

    def __init__(self) -> None:
        self._arrays: list[Array] = [np.zeros(1, np.int32)]
        self._places: dict[bytes, int] = {}
        self._filled = 1

    def place(self, array: Array) -> int:
        """Where the array lies."""
        array = array.astype(np.int32).ravel()
        key = array.tobytes()
        if key not in self._places:
            self._places[key] = self._filled
            self._arrays.append(array)
            self._filled += len(array)
        return self._places[key]

    def joined(self) -> Array:
        """All of them, (·,)."""
        return np.concatenate(self._arrays)


def compiled(steps: Sequence[Step], dtype: np.dtype[Any], tables: Tables, at: Callable[[Value, int], int]) -> Array:
    """int64 (steps, ·): for each the address of its loops, and its record; see `Step`.

    at  where a value, from so many of its numbers on, lies in a thread's memory
    """

    def number(value: Any) -> Any:
        if isinstance(value, Part | Value):
            return at(*(value if isinstance(value, Part) else (value, 0)))
        if isinstance(value, np.ndarray):
            return tables.place(value)
        return address(value, dtype) if isinstance(value, Subroutine) else value

    names = [step.record.names or () for step in steps]
    rows = np.zeros((len(steps), 1 + max(map(len, names), default=0)), np.int64)
    for row, step, fields in zip(rows, steps, names, strict=True):
        row[0] = address(type(step), dtype)
        record = row[1 : 1 + len(fields)].view(step.record)
        for name in fields:
            record[name] = number(getattr(step, name))
    return rows


def _place(steps: list[Step]) -> tuple[dict[Memory, int], int, int]:
    """Where each memory lies, in features, and how many there are of both kinds: it is taken for as long as needed."""
    spans: dict[Memory, tuple[int, int]] = {}
    for k, step in enumerate(steps):
        for value in step.values():
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


def _stacked(rows: list[Array]) -> Array:
    """Both, as wide as the wider one."""
    width = max(row.shape[1] for row in rows)
    return np.stack([np.pad(row, ((0, 0), (0, width - row.shape[1]))) for row in rows])


def aligned(workers: int, size: int, kind: Any) -> Array:
    """Zeros (workers, size or more), each row on a vector's boundary."""
    size = -(-size * kind.itemsize // VECTOR_BYTES) * VECTOR_BYTES
    memory = np.zeros(workers * size + VECTOR_BYTES, np.uint8)
    skip = -memory.ctypes.data % VECTOR_BYTES
    return memory[skip : skip + workers * size].view(kind).reshape(workers, -1)
