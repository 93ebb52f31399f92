"""The kernels that layers call by themselves, in a net that no graph can hold: a single step of an operation.

It works on the caller's arrays, where they lie, on all images at once. Threads share out the channels of what is
written, each with a step for its own, so that none waits for another and nothing is summed up afterwards.
"""

# ruff: noqa: E741  (O is the number of filters)

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import get_num_threads

from firstlight.kernels import Padding, Pair, reference
from firstlight.kernels._interpreter import FRAME, run_apart
from firstlight.kernels._vectors import VECTOR_BYTES
from firstlight.kernels.lock import LOCK
from firstlight.kernels.operation import Cut, Memory, Part, Step, Value
from firstlight.kernels.ops.avg_pool import AveragePool, AveragePoolBack
from firstlight.kernels.ops.convolution import CorrelateStrips, Correlation, KernelGradient, correlations, covers_image
from firstlight.kernels.ops.gather import Gather
from firstlight.kernels.ops.max_pool import LARGEST, MaxPool, MaxPoolBack
from firstlight.kernels.ops.window import Fields, window_of
from firstlight.kernels.runtime import Tables, aligned, compiled
from firstlight.types import Array, Shape

# The arrays that steps name: x or dx, y or dy, and the winners of pooling.
X, Y, WHERE = Value((1,), Memory(1)), Value((1,), Memory(1)), Value((1,), Memory(1, small=True))


def conv2d(x: Array, W: Array, b: Array | None, stride: Pair, padding: Padding) -> Array:
    """y (O, H', W', N)."""
    K, N = W[0].size, x.shape[3]
    weights = _flat(W, x) if b is None else np.concatenate([_flat(W, x), _flat(b, x)])
    forward, _ = correlations(x.shape[:3], W.shape, stride, padding)
    y = np.empty((*forward.y, N), x.dtype)
    if covers_image(x.shape[1:3], W.shape[2:], padding):
        forward = Correlation((K, 1, 1), forward.y, (K, 1))
    return _correlated(forward, x, y, weights, -1 if b is None else W.size)


def conv2d_dx(dy: Array, W: Array, stride: Pair, padding: Padding, size: Pair) -> Array:
    """dx (C, H, W, N)."""
    O, C, K = len(W), W.shape[1], W[0].size
    _, back = correlations((C, *size), W.shape, stride, padding)
    dx = np.empty((*back.y, dy.shape[3]), dy.dtype)
    if covers_image(size, W.shape[2:], padding):
        back = Correlation((O, 1, 1), (K, 1, 1), (1, K))
    return _correlated(back, dy, dx, _flat(W, dy))


def conv2d_dW(x: Array, dy: Array, stride: Pair, padding: Padding, size: Pair) -> Array:
    """dW (O, C, kh, kw)."""
    O, N = len(dy), x.shape[3]
    dW = np.zeros((O, len(x), *size), x.dtype)
    K = dW[0].size
    if not N:
        return dW
    if covers_image(x.shape[1:3], size, padding):  # dy xᵀ: of K images
        return _correlated(Correlation((N, 1, 1), (O, 1, 1), (N, 1)), x.reshape(K, N).T, dW, _flat(dy, x), images=K)
    forward, _ = correlations(x.shape[:3], dW.shape, stride, padding)
    _run(_gradients, (forward,), O, N, {X: x, Y: dy}, gradient=dW)
    return dW


def max_pool(x: Array, size: Pair, stride: Pair, padding: Padding) -> tuple[Array, Array]:
    """y and where; a NaN beats every number."""
    if math.prod(size) > LARGEST:
        return reference.max_pool(x, size, stride, padding)
    window = window_of(x.shape[:3], size, stride, padding)
    y = np.empty((len(x), *window[3:5], x.shape[3]), x.dtype)
    where = np.empty(y.shape, np.uint8)
    _run(_max_pools, (window,), len(x), x.shape[3], {X: x, Y: y, WHERE: where})
    return y, where


def max_pool_dx(dy: Array, where: Array, size: Pair, stride: Pair, padding: Padding, input_size: Pair) -> Array:
    """dy to the pixels in `where`."""
    if math.prod(size) > LARGEST:
        return reference.max_pool_dx(dy, where, size, stride, padding, input_size)
    dx = np.empty((len(dy), *input_size, dy.shape[3]), dy.dtype)
    window = window_of(dx.shape[:3], size, stride, padding)
    _run(_max_pools_back, (window,), len(dy), dy.shape[3], {X: dx, Y: dy, WHERE: where})
    return dx


def avg_pool(x: Array, size: Pair, stride: Pair, padding: Padding) -> Array:
    """The mean over the pixels inside the image."""
    window = window_of(x.shape[:3], size, stride, padding)
    y = np.empty((len(x), *window[3:5], x.shape[3]), x.dtype)
    _run(_means, (window,), len(x), x.shape[3], {X: x, Y: y})
    return y


def avg_pool_dx(dy: Array, size: Pair, stride: Pair, padding: Padding, input_size: Pair) -> Array:
    """dy shared out over the pixels inside the image."""
    dx = np.empty((len(dy), *input_size, dy.shape[3]), dy.dtype)
    window = window_of(dx.shape[:3], size, stride, padding)
    _run(_means_back, (window,), len(dy), dy.shape[3], {X: dx, Y: dy})
    return dx


def gather(pixels: Array, index: Array, scale: Array, shift: Array) -> Array:
    """pixels[index] · scale + shift, the batch last. Raises IndexError for an index outside the images."""
    if len(index) and not 0 <= index.min() <= index.max() < len(pixels):
        raise IndexError(f"gather: indices {index.min()}..{index.max()} of {len(pixels)} images.")
    x = np.empty((*scale.shape, len(index)), scale.dtype)
    if not pixels.flags.c_contiguous:  # of a view, whose order NumPy keeps when it takes some
        pixels, index = np.ascontiguousarray(pixels[index]), np.arange(len(index))
    arrays = {"pixels": pixels, "index": np.ascontiguousarray(index, np.int64)}
    arrays |= {"scale": np.ascontiguousarray(scale), "shift": np.ascontiguousarray(shift)}
    _run(_gathers, (scale.shape,), 1, len(index), {X: x}, **arrays)
    return x


def _correlated(c: Correlation, x: Array, y: Array, weights: Array, bias: int = -1, images: int = 0) -> Array:
    """y, written by a correlation with the weights, behind which the bias may begin."""
    _run(_correlations, (c, bias), c.y[0], images or x.shape[-1], {X: x, Y: y}, theta=weights)
    return y


def _flat(W: Array, like: Array) -> Array:
    """W in one dimension, of the dtype of another array."""
    return np.ascontiguousarray(W, like.dtype).reshape(-1)


# The steps: for the images of a cut, the channels from `first` to `end` of what is written. A part of an array begins
# at a number of it, not of an image's.


def _correlations(cut: Cut, first: int, end: int, c: Correlation, bias: int) -> Step:
    part = replace(c, y=(end - first, *c.y[1:]))
    W, y = first * c.W_strides[0], Part(Y, first * math.prod(c.y[1:]) * cut.n)
    return CorrelateStrips.of(X, y, W, -1 if bias < 0 else bias + first, part, cut, relu=False)


def _gradients(cut: Cut, first: int, end: int, c: Correlation) -> Step:
    dy, dW = Part(Y, first * math.prod(c.y[1:]) * cut.n), first * c.x[0] * math.prod(c.kernel)
    return KernelGradient(X, dy, dW, replace(c, y=(end - first, *c.y[1:]))).ready(cut)


def _channels(cut: Cut, first: int, end: int, window: Fields) -> tuple[Fields, list[Part]]:
    """The window's fields for these channels, and where they begin in x, y and the winners."""
    _, H, W, Hy, Wy, *_ = window
    x, y = first * H * W * cut.n, first * Hy * Wy * cut.n
    return (end - first, *window[1:]), [Part(X, x), Part(Y, y), Part(WHERE, y)]


def _max_pools(cut: Cut, first: int, end: int, window: Fields) -> Step:
    fields, (x, y, where) = _channels(cut, first, end, window)
    return MaxPool(*fields, x, y, where, False)


def _max_pools_back(cut: Cut, first: int, end: int, window: Fields) -> Step:
    fields, (dx, dy, where) = _channels(cut, first, end, window)
    return MaxPoolBack(*fields, dx, dy, where, False, dy)


def _means(cut: Cut, first: int, end: int, window: Fields) -> Step:
    fields, (x, y, _) = _channels(cut, first, end, window)
    return AveragePool(*fields, x, y)


def _means_back(cut: Cut, first: int, end: int, window: Fields) -> Step:
    fields, (dx, dy, _) = _channels(cut, first, end, window)
    return AveragePoolBack(*fields, dx, dy)


def _gathers(cut: Cut, first: int, end: int, shape: Shape) -> Step:
    return Gather(X, shape[0], shape[1] * shape[2])


class _Ready(NamedTuple):
    """Steps made ready for arrays that all begin at 0.

    rows     int64 (threads, ·): of each its step, see `runtime.compiled`
    places   the columns that say where an array is read or written, and which
    scratch  the numbers of a thread's scratch memory
    """

    rows: Array
    places: list[tuple[int, Value]]
    tables: Array
    scratch: int


@lru_cache(maxsize=256)
def _ready(
    made: Callable[..., Step], settings: tuple[Any, ...], channels: int, images: int, dtype: np.dtype[Any], threads: int
) -> _Ready:
    """The steps of so many threads, or of as many as there are channels."""
    cut = Cut(images, VECTOR_BYTES // dtype.itemsize, dtype.itemsize, training=True, images=images, size=images)
    ends = np.linspace(0, channels, min(threads, channels) + 1).astype(int).tolist()
    steps = [made(cut, first, end, *settings) for first, end in itertools.pairwise(ends)]
    tables, first = Tables(), steps[0]
    rows = compiled(steps, dtype, tables, lambda value, start: start)
    fields = [getattr(first, name) for name in first.record.names or ()]
    values = [(1 + k, each.value if isinstance(each, Part) else each) for k, each in enumerate(fields)]
    places = [(column, value) for column, value in values if isinstance(value, Value)]
    return _Ready(rows, places, tables.joined(), max(step.scratch(cut) for step in steps))


def _run(
    made: Callable[..., Step],
    settings: tuple[Any, ...],
    channels: int,
    images: int,
    values: Mapping[Value, Array],
    **others: Array,
) -> None:
    """Run what `made` makes of the settings: its values lie in these arrays, and the frame points to the others."""
    dtype = values[X].dtype
    arrays = {value: np.ascontiguousarray(array, None if value is WHERE else dtype) for value, array in values.items()}
    if not images:
        return
    with LOCK:
        ready = _ready(made, settings, channels, images, dtype, get_num_threads())
        rows, at = ready.rows.copy(), {value: array.ctypes.data for value, array in arrays.items()}
        winners = at.pop(WHERE, 0)
        base = min(at.values())  # a place in memory is no negative number
        for column, value in ready.places:
            if value is not WHERE:
                rows[:, column] += (at[value] - base) // dtype.itemsize
        scratch = _scratch(len(rows), ready.scratch, dtype)
        frames = np.zeros(len(rows), FRAME)
        for name, array in {"tables": ready.tables, **others}.items():
            frames[name] = array.ctypes.data
        frames["arena"], frames["winners"] = base, winners
        frames["scratch"] = scratch.ctypes.data + np.arange(len(rows)) * scratch.strides[0]
        frames["images"] = frames["size"] = images
        frames["workers"] = frames["fresh"] = 1
        run_apart(rows, frames)


def _scratch(workers: int, size: int, dtype: np.dtype[Any]) -> Array:
    """Memory (workers, size or more) that is kept between calls."""
    global _kept
    if len(_kept) < workers or _kept.shape[1] < size * dtype.itemsize:
        _kept = aligned(workers, size * dtype.itemsize, np.dtype(np.uint8))
    return _kept


_kept = np.empty((0, 0), np.uint8)
