"""The readable truth: every kernel in a few lines of plain NumPy, a sum over the taps of its window.

Shapes as in `Kernels`: x (C, H, W, N), W (O, C, kh, kw), y (O, H', W', N). Any stride, any explicit padding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from firstlight.kernels import NOISE_MEAN, NOISE_SD, Fill, Padding, Pair, output_size, pad, taps
from firstlight.kernels.formula import Formula
from firstlight.types import Array, Shape

# The elements of a vector that a step of an optimizer works on at a time. They stay in the processor's cache, so that
# each formula can be written in plain NumPy without a pass through memory for each of its operations.
BLOCK = 16384


def conv2d(x: Array, W: Array, b: Array | None, stride: Pair, padding: Padding) -> Array:
    """y = Σ over the taps of W[:, :, tap] · (what the tap sees of x), plus b."""
    _, _, kh, kw = W.shape
    out = output_size(x.shape[1:3], (kh, kw), stride, padding)
    padded = pad(x, padding)
    y = np.zeros((len(W), *out, x.shape[3]), x.dtype)
    for (r, s), seen in taps((kh, kw), stride, out):
        y += np.tensordot(W[:, :, r, s], padded[seen], 1)
    return y if b is None else y + b[:, None, None, None]


def conv2d_dx(dy: Array, W: Array, stride: Pair, padding: Padding, size: Pair) -> Array:
    """Each tap sends W[:, :, tap]ᵀ · dy back to the pixels that it saw."""
    _, C, kh, kw = W.shape
    dx, inside = _bordered((C, *size, dy.shape[3]), padding, dy.dtype)
    for (r, s), seen in taps((kh, kw), stride, dy.shape[1:3]):
        dx[seen] += np.tensordot(W[:, :, r, s].T, dy, 1)
    return np.ascontiguousarray(dx[inside])


def conv2d_dW(x: Array, dy: Array, stride: Pair, padding: Padding, size: Pair) -> Array:
    """dW[:, :, tap] = Σ over pixels and images of dy · (what the tap saw of x)ᵀ."""
    padded = pad(x, padding)
    dW = np.empty((len(dy), len(x), *size), x.dtype)
    for (r, s), seen in taps(size, stride, dy.shape[1:3]):
        dW[:, :, r, s] = np.tensordot(dy, padded[seen], ((1, 2, 3), (1, 2, 3)))
    return dW


def max_pool(x: Array, size: Pair, stride: Pair, padding: Padding) -> tuple[Array, Array]:
    """A tap wins a window where it is inside the image and larger than all before it; a NaN beats every number."""
    out = output_size(x.shape[1:3], size, stride, padding)
    padded = pad(x, padding)
    inside = pad(np.ones((1, *x.shape[1:3], 1), bool), padding)
    y = np.full((len(x), *out, x.shape[3]), -np.inf, x.dtype)
    where = np.full(y.shape, -1, np.int32)
    for position, (_, seen) in enumerate(taps(size, stride, out)):
        v = padded[seen]
        wins = inside[seen] & ((where < 0) | (v > y) | (np.isnan(v) & ~np.isnan(y)))
        y[wins] = v[wins]
        where[wins] = position
    return y, where.astype(np.uint8 if size[0] * size[1] <= 256 else np.int32)


def max_pool_dx(dy: Array, where: Array, size: Pair, stride: Pair, padding: Padding, input_size: Pair) -> Array:
    """Each tap receives the dy of the windows that it won."""
    dx, inside = _bordered((len(dy), *input_size, dy.shape[3]), padding, dy.dtype)
    for position, (_, seen) in enumerate(taps(size, stride, dy.shape[1:3])):
        dx[seen] += np.where(where == position, dy, 0)
    return np.ascontiguousarray(dx[inside])


def avg_pool(x: Array, size: Pair, stride: Pair, padding: Padding) -> Array:
    """The sum over the taps, divided by the number of taps inside the image."""
    out = output_size(x.shape[1:3], size, stride, padding)
    padded = pad(x, padding)
    y = np.zeros((len(x), *out, x.shape[3]), x.dtype)
    for _, seen in taps(size, stride, out):
        y += padded[seen]
    return y / _counts(x.shape[1:3], size, stride, padding, out).astype(x.dtype)


def avg_pool_dx(dy: Array, size: Pair, stride: Pair, padding: Padding, input_size: Pair) -> Array:
    """Each tap receives an equal share of dy."""
    out: Pair = dy.shape[1:3]
    dx, inside = _bordered((len(dy), *input_size, dy.shape[3]), padding, dy.dtype)
    share = dy / _counts(input_size, size, stride, padding, out).astype(dy.dtype)
    for _, seen in taps(size, stride, out):
        dx[seen] += share
    return np.ascontiguousarray(dx[inside])


def gather(pixels: Array, index: Array, scale: Array, shift: Array) -> Array:
    """x[..., i] = pixels[index[i]] · scale + shift."""
    x = pixels[index].transpose(3, 1, 2, 0)
    return np.ascontiguousarray(x * scale[..., None] + shift[..., None])


def augment(
    pixels: Array, index: Array, maps: Array, light: Array, keys: Array, patches: Array, fill: Fill, fill_value: int
) -> Array:
    """Each image by itself, in the order of the docstring of `Kernels`."""
    y = np.empty((len(index), *pixels.shape[1:]), np.uint8)
    for n, (top, bottom, left, right) in enumerate(patches):
        mapped = _mapped(pixels[index[n]], maps[n], fill, fill_value)
        y[n] = _lit(mapped, light[n], int(keys[n]))
        y[n, top:bottom, left:right] = fill_value
    return y


def _mapped(x: Array, m: Array, fill: Fill, fill_value: int) -> Array:
    """x (H, W, C) seen through a map, bilinear, in float32; rounded half up.

    It stands in a border of one pixel, into which a place further outside is moved: that changes nothing, as the source
    is level from there on.
    """
    H, W, _ = x.shape
    border = ((1, 1), (1, 1), (0, 0))
    source = np.pad(x, border, constant_values=fill_value) if fill == "constant" else np.pad(x, border, mode="edge")
    i, j = np.arange(H, dtype=np.float64)[:, None], np.arange(W, dtype=np.float32)
    places = []
    for (by_row, by_column, start), size in zip(m, (H, W), strict=True):
        place = (by_row * i + start + 1).astype(np.float32) + np.float32(by_column) * j
        if fill == "reflect":
            period = np.float32(2 * size)
            place -= np.float32(0.5)
            place -= period * np.floor(place / period)
            place = size - np.abs(place - np.float32(size)) + np.float32(0.5)
        places.append(np.clip(place, *((0, size + 1) if fill == "constant" else (1, size))))
    return _sampled(source, *places)


def _sampled(source: Array, rows: Array, columns: Array) -> Array:
    """A bordered image (H + 2, W + 2, C) at places in it, bilinear, in float32; rounded half up."""
    H, W, places = source.shape[0] - 2, source.shape[1] - 2, (rows, columns)
    (up, left), (down, across) = zip(*[(place.astype(np.int32), place % 1) for place in places], strict=True)
    below, right = np.minimum(up + 1, H + 1), np.minimum(left + 1, W + 1)
    a, b, c, d = (source[at].astype(np.float32) for at in ((up, left), (up, right), (below, left), (below, right)))
    across, down = across[..., None], down[..., None]
    upper, lower = a + across * (b - a), c + across * (d - c)
    return _bytes(upper + down * (lower - upper))


def _lit(x: Array, light: Array, key: int) -> Array:
    """factor · (x − mean) + mean + brightness + sd · noise."""
    factor, brightness, sd = light
    mean = x.sum(dtype=np.int64) / x.size
    offset = np.float32((1 - float(factor)) * mean + float(brightness))
    y = factor * x.astype(np.float32) + offset
    if sd:
        y += sd * _noise(x.size, key).reshape(x.shape)
    return _bytes(y)


def _noise(size: int, key: int) -> Array:
    """Nearly standard normal numbers: each is the sum of the eight bytes of two hashes, of its place and of the key."""
    first = _hash(np.arange(size, dtype=np.uint32) + np.uint32(key & 0xFFFFFFFF))
    second = _hash(first ^ np.uint32(key >> 32))
    total: Array = np.stack([first, second], 1).view(np.uint8).sum(axis=1).astype(np.float32)
    return (total - np.float32(NOISE_MEAN)) * np.float32(1 / NOISE_SD)


def _four(values: Array, first: Array, weights: Array, axis: int) -> Array:
    """Along an axis, Σ of four values from `first` on by their weights, (4, …), in order."""
    total = weights[0] * values.take(first, axis)
    for k in range(1, 4):
        total += weights[k] * values.take(first + k, axis)
    return total


def _hash(h: Array) -> Array:
    """A hash of 32 bits (Wellons, "Prospecting for hash functions", 2018, lowbias32)."""
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B)
    return h ^ (h >> np.uint32(16))


def _bytes(values: Array) -> Array:
    """Rounded half up, and cut to 0..255."""
    return (np.clip(values, 0, 255) + np.float32(0.5)).astype(np.uint8)


def blur(pixels: Array, taps: Array) -> Array:
    """Down the columns, and then along the rows."""
    y = pixels.astype(np.float32)
    for axis in (1, 2):
        at = np.arange(y.shape[axis])
        total = taps[:, 0, None, None, None] * y
        for r in range(1, taps.shape[1]):
            before, after = np.maximum(at - r, 0), np.minimum(at + r, at[-1])
            pair = y.take(before, axis) + y.take(after, axis)
            total += taps[:, r, None, None, None] * pair
        y = total
    return _bytes(y)


def elastic(pixels: Array, keys: Array, amount: float, spacing: float) -> Array:
    """Of each image the field, and then the pixels."""
    _, H, W, _ = pixels.shape
    (down_first, down_weights), (across_first, across_weights) = (spline(size, spacing) for size in (H, W))
    knots = (2, down_first[-1] + 4, across_first[-1] + 4)
    y = np.empty_like(pixels)
    for n, x in enumerate(pixels):
        grid = np.float32(amount) * _noise(math.prod(knots), int(keys[n])).reshape(knots)
        rows = _four(grid, across_first, across_weights, 2)
        field = _four(rows, down_first, down_weights[:, :, None], 1)
        i, j = np.arange(H, dtype=np.float32)[:, None], np.arange(W, dtype=np.float32)
        places = [np.clip(p + step + np.float32(1), 1, s) for p, step, s in zip((i, j), field, (H, W), strict=True)]
        y[n] = _sampled(np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge"), *places)
    return y


def spline(size: int, spacing: float) -> tuple[Array, Array]:
    """Of each of `size` pixels: its first of four knots, int64 (size,), and what they weigh, float32 (4, size).

    The uniform cubic B-spline (de Boor 1978).
    """
    place = np.arange(size) / spacing
    first = np.floor(place).astype(np.int64)
    t = place - first
    weights = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    return first, (np.stack(weights) / 6).astype(np.float32)


def recolour(pixels: Array, matrices: Array) -> Array:
    """Red, green and blue in this order."""
    red, green, blue = (pixels[..., c, None].astype(np.float32) for c in range(3))
    m = matrices[:, None, None]
    return _bytes(m[..., 0] * red + m[..., 1] * green + m[..., 2] * blue)


def mix(pixels: Array, others: Array, levels: Array, patches: Array) -> Array:
    """In integers, rounded half up."""
    level = levels[:, None, None, None]
    y = ((level * pixels + (256 - level) * others + 128) >> 8).astype(np.uint8)
    for n, (top, bottom, left, right) in enumerate(patches):
        y[n, top:bottom, left:right] = others[n, top:bottom, left:right]
    return y


def step(
    formula: Formula,
    part: slice,
    theta: Array,
    gradients: Array,
    moments: Sequence[Array],
    scalars: Sequence[float],
    cuts: Sequence[int] = (),
) -> None:
    """The formula as it is: block by block where it works on each element by itself, else on the whole part."""
    for block in [part] if formula.why_not else _blocks(part):
        arrays = [theta[block], *(moment[block] for moment in moments)]
        for array, result in zip(arrays, formula(arrays[0], _sum(gradients, block), arrays[1:], scalars), strict=True):
            array[...] = result


def _bordered(shape: Shape, padding: Padding, dtype: np.dtype[np.generic]) -> tuple[Array, tuple[slice, ...]]:
    """Zeros of an image's `shape` with its padding round it, and the slices that cut the image out again."""
    (top, bottom), (left, right) = padding
    C, H, W, N = shape
    inside = (slice(None), slice(top, top + H), slice(left, left + W), slice(None))
    return np.zeros((C, top + H + bottom, left + W + right, N), dtype), inside


def _counts(image: Pair, size: Pair, stride: Pair, padding: Padding, out: Pair) -> Array:
    """How many pixels of each window lie inside the image, (H', W', 1)."""
    inside = pad(np.ones((1, *image, 1)), padding)
    counts = np.zeros((1, *out, 1))
    for _, seen in taps(size, stride, out):
        counts += inside[seen]
    return counts[0]


def _blocks(part: slice) -> Iterator[slice]:
    """The part, cut into slices of BLOCK elements."""
    for start in range(part.start, part.stop, BLOCK):
        yield slice(start, min(start + BLOCK, part.stop))


def _sum(gradients: Array, block: slice) -> Array:
    """The sum of the rows of gradients[:, block], in order; of one row, a view."""
    return sum(gradients[1:, block], start=gradients[0, block])
