"""The operations of a quantized net, and what each computes in NumPy, bit by bit as the C does.

A value is int8 (C, H, W) or (features,) and stands for scale · (q − zero). Sums are int32; they become int8 again by a
multiplier and a shift (Jacob et al. 2018, "Quantization and training of neural networks for efficient
integer-arithmetic-only inference"), rounded to the nearest, halves away from 0. `compute` takes a batch, last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firstlight.export.inference_graph import Operation
from firstlight.export.reference import compute
from firstlight.kernels import Padding, Pair, reference
from firstlight.types import Array


@dataclass(frozen=True, eq=False)
class Int8(Operation):
    """The base of what gives int8.

    zero, zero_x  the int8 that stands for 0 in what it gives, and in what it takes
    """

    zero: int


@dataclass(frozen=True, eq=False)
class Int8Prepare(Int8):
    """The image by a table (C, 256) of each channel."""

    table: Array


@dataclass(frozen=True, eq=False)
class Int8PreparePixels(Int8):
    """image · scale + shift, float32 (C, H, W) each, in steps of the result."""

    scale: Array
    shift: Array


@dataclass(frozen=True, eq=False)
class Int8PrepareImage(Int8):
    """(image − mean) / std over all values of the image, in `steps` to 1."""

    steps: float


@dataclass(frozen=True, eq=False)
class Requantized(Int8):
    """Sums of products, made int8 again: each output o by multiplier[o] / 2 ** shift[o], int32 and uint8 (O,)."""

    W: Array
    b: Array
    multiplier: Array
    shift: Array
    zero_x: int


@dataclass(frozen=True, eq=False)
class Int8Convolution(Requantized):
    """W int8 (O, C, kh, kw), b int32 (O,)."""

    stride: Pair
    padding: Padding


@dataclass(frozen=True, eq=False)
class Int8Product(Requantized):
    """W int8 (O, K), b int32 (O,)."""


@dataclass(frozen=True, eq=False)
class Int8BatchNorm(Requantized):
    """W int16 (C,), b int32 (C,)."""


@dataclass(frozen=True, eq=False)
class FloatProduct(Operation):
    """The sums of a product as float32, by a scale (O,) each: what no further integers read."""

    W: Array
    b: Array
    scale: Array
    zero_x: int


@dataclass(frozen=True, eq=False)
class Float(Operation):
    """scale · (q − zero) as float32."""

    scale: float
    zero_x: int


@dataclass(frozen=True, eq=False)
class Int8Table(Int8):
    """Each value by a table (256,), from −128 on: an activation, or another scale."""

    table: Array


@dataclass(frozen=True, eq=False)
class Rectified(Int8):
    """ReLU where the smallest int8 stands for 0: what gives its input has seen to it."""


@dataclass(frozen=True, eq=False)
class Int8MaxPool(Int8):
    """As `MaxPool`."""

    size: Pair
    stride: Pair
    padding: Padding


@dataclass(frozen=True, eq=False)
class Int8AveragePool(Int8):
    """As `AveragePool`, by multiplier / 2 ** shift."""

    size: Pair
    stride: Pair
    padding: Padding
    multiplier: int
    shift: int
    zero_x: int


@dataclass(frozen=True, eq=False)
class Int8Add(Int8):
    """(multiplier · (x − zero_x) + …) / 2 ** shift; a multiplier and a zero for each of the two."""

    multipliers: Pair
    shift: int
    zeros: Pair


@dataclass(frozen=True, eq=False)
class Int8Concatenate(Int8):
    """As `Concatenate`, of values of one scale."""

    before: int
    after: int


@dataclass(frozen=True, eq=False)
class Int8Softmax(Int8):
    """As `Softmax`; `exponentials` float32 (256,) are e to the distances from the largest, `steps` are those to 1."""

    exponentials: Array
    steps: float


def rounded(x: Array, divisor: Array | int) -> Array:
    """x / divisor, both int64, to the nearest integer, halves away from 0."""
    return np.sign(x) * ((np.abs(x) + divisor // 2) // divisor)


def saturated(x: Array) -> Array:
    return np.clip(x, -128, 127).astype(np.int8)


def nearest(x: Array) -> Array:
    """Floating numbers rounded, halves up, as int64."""
    return np.floor(x + x.dtype.type(0.5)).astype(np.int64)


def _requantized(sums: Array, one: Requantized) -> Array:
    column = (-1, *[1] * (sums.ndim - 1))
    divisor = np.int64(1) << one.shift.astype(np.int64).reshape(column)
    return saturated(
        rounded(sums.astype(np.int64) * one.multiplier.astype(np.int64).reshape(column), divisor) + one.zero
    )


@compute.register
def _(one: Int8Prepare, x: Array) -> Array:
    return np.stack([table[channel] for table, channel in zip(one.table, x, strict=True)])


@compute.register
def _(one: Int8PreparePixels, x: Array) -> Array:
    return saturated(nearest(x.astype(np.float32) * one.scale[..., None] + one.shift[..., None]) + one.zero)


@compute.register
def _(one: Int8PrepareImage, x: Array) -> Array:
    flat = x.reshape(-1, x.shape[-1]).astype(np.int64)
    n, total, squares = len(flat), flat.sum(axis=0), np.square(flat).sum(axis=0)
    variance = n * squares - total * total
    factor = one.steps / np.where(variance > 0, np.sqrt(variance.astype(np.float64)) / n, 1.0)
    return saturated(nearest((x - total / n) * factor) + one.zero)


@compute.register
def _(one: Int8Convolution, x: Array) -> Array:
    sums = reference.conv2d(x.astype(np.float64) - one.zero_x, one.W.astype(np.float64), None, one.stride, one.padding)
    return _requantized(sums + one.b[:, None, None, None], one)


@compute.register
def _(one: Int8Product, x: Array) -> Array:
    return _requantized(_sums(one, x), one)


@compute.register
def _(one: Int8BatchNorm, x: Array) -> Array:
    column = (-1, *[1] * (x.ndim - 1))
    return _requantized(
        one.W.astype(np.int64).reshape(column) * (x.astype(np.int64) - one.zero_x) + one.b.reshape(column), one
    )


@compute.register
def _(one: FloatProduct, x: Array) -> Array:
    return _sums(one, x).astype(np.float32) * one.scale[:, None]


def _sums(one: Int8Product | FloatProduct, x: Array) -> Array:
    """Integers, which float64 holds exactly and multiplies fast."""
    return one.W.astype(np.float64) @ (x.astype(np.float64) - one.zero_x) + one.b[:, None]


@compute.register
def _(one: Float, x: Array) -> Array:
    return np.float32(one.scale) * (x.astype(np.int32) - one.zero_x).astype(np.float32)


@compute.register
def _(one: Int8Table, x: Array) -> Array:
    return one.table[x.astype(np.int64) + 128]


@compute.register
def _(one: Rectified, x: Array) -> Array:
    return x


@compute.register
def _(one: Int8MaxPool, x: Array) -> Array:
    return reference.max_pool(x.astype(np.float32), one.size, one.stride, one.padding)[0].astype(np.int8)


@compute.register
def _(one: Int8AveragePool, x: Array) -> Array:
    inside = np.ones_like(x[:1, ..., :1], np.float64)
    area = one.size[0] * one.size[1]
    apart = x.astype(np.float64) - one.zero_x
    counts = np.rint(_sums_of_windows(inside, one))
    sums = np.rint(_sums_of_windows(apart, one)).astype(np.int64)
    assert counts.max() <= area
    return saturated(rounded(sums * one.multiplier, counts.astype(np.int64) << one.shift) + one.zero)


def _sums_of_windows(x: Array, one: Int8AveragePool) -> Array:
    """Over the pixels inside: a convolution of each channel with ones."""
    ones = np.ones((1, 1, *one.size))
    return np.concatenate([reference.conv2d(c[None], ones, None, one.stride, one.padding) for c in x])


@compute.register
def _(one: Int8Add, x: Array, z: Array) -> Array:
    parts = zip((x, z), one.multipliers, one.zeros, strict=True)
    total = sum(multiplier * (part.astype(np.int64) - zero) for part, multiplier, zero in parts)
    return saturated(rounded(np.asarray(total), 1 << one.shift) + one.zero)


@compute.register
def _(one: Int8Concatenate, *parts: Array) -> Array:
    def zeros(channels: int) -> Array:
        return np.full((channels, *parts[0].shape[1:]), one.zero, np.int8)

    return np.concatenate([zeros(one.before), *parts, zeros(one.after)])


@compute.register
def _(one: Int8Softmax, x: Array) -> Array:
    far = x.max(axis=0).astype(np.int64) - x
    y = one.exponentials[far]
    share = y / np.cumsum(y, axis=0, dtype=np.float32)[-1]  # summed one after another, as the C does
    return saturated(nearest(share * np.float32(one.steps)) + one.zero)
