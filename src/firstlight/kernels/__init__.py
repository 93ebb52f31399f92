"""The inner loops, twice: `reference` in plain NumPy, the readable truth, and `compiled` in Numba, the same signatures.

The batch is the last axis of every array: images x (C, H, W, N), convolution weights W (O, C, kh, kw).
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol, cast

import numpy as np

from firstlight.errors import ExperimentError, nearest
from firstlight.kernels.formula import Formula
from firstlight.types import Array, Shape

Pair = tuple[int, int]
# Zeros round an image: ((top, bottom), (left, right)).
Padding = tuple[Pair, Pair]

# What lies outside an image: its edge drawn out, the image mirrored (d c b a | a b c d | d c b a), or one value.
Fill = Literal["nearest", "reflect", "constant"]

NAMES = ("compiled", "reference")

# Added to a running mean and taken away again, this rounds it to a grid of about 1e-32 (float32) or 1e-41 (float64).
# Means of gradients that stay zero would otherwise decay into denormal numbers, with which a processor is ten times
# slower.
GRID = 1e-25

# Noise is the sum of eight bytes (Irwin & Hall 1927): nearly normal, within 4.9 standard deviations, of this mean and
# standard deviation.
NOISE_MEAN, NOISE_SD = 8 * 127.5, (8 * (256**2 - 1) / 12) ** 0.5


class Kernels(Protocol):
    """What both modules provide. Arrays keep the dtype of x, float32 or float64."""

    def conv2d(self, x: Array, W: Array, b: Array | None, stride: Pair, padding: Padding) -> Array:
        """y (O, H', W', N): the cross-correlation of x (C, H, W, N) with W (O, C, kh, kw), plus b (O,)."""
        ...

    def conv2d_dx(self, dy: Array, W: Array, stride: Pair, padding: Padding, size: Pair) -> Array:
        """dx (C, H, W, N) for dy (O, H', W', N); `size` is the input's (H, W)."""
        ...

    def conv2d_dW(self, x: Array, dy: Array, stride: Pair, padding: Padding, size: Pair) -> Array:
        """dW (O, C, kh, kw), summed over the batch; `size` is the kernel's (kh, kw)."""
        ...

    def max_pool(self, x: Array, size: Pair, stride: Pair, padding: Padding) -> tuple[Array, Array]:
        """y (C, H', W', N), the largest of each window, and `where`, the same shape, uint8 or int32.

        `where` holds the row-major position of the (first) largest value inside its window. Padding never wins.
        """
        ...

    def max_pool_dx(
        self, dy: Array, where: Array, size: Pair, stride: Pair, padding: Padding, input_size: Pair
    ) -> Array:
        """dx (C, H, W, N): dy sent back to the positions in `where`; overlapping windows add up."""
        ...

    def avg_pool(self, x: Array, size: Pair, stride: Pair, padding: Padding) -> Array:
        """y (C, H', W', N): the mean of each window over the pixels that lie inside the image."""
        ...

    def avg_pool_dx(self, dy: Array, size: Pair, stride: Pair, padding: Padding, input_size: Pair) -> Array:
        """dx (C, H, W, N): dy shared out equally over the pixels of each window."""
        ...

    def gather(self, pixels: Array, index: Array, scale: Array, shift: Array) -> Array:
        """x (C, H, W, n) = pixels[index] · scale + shift, the batch moved last.

        pixels uint8 (N, H, W, C), index int64 (n,), scale and shift (C, H, W) of the dtype asked for.
        """
        ...

    def augment(
        self, pixels: Array, index: Array, maps: Array, light: Array, keys: Array, patches: Array, fill: Fill,
        fill_value: int,
    ) -> Array:  # fmt: skip
        """uint8 (n, H, W, C): pixels[index], each image mapped, lit, made noisy, and covered by a patch, in this order.

        pixels   uint8 (N, H, W, C); index int64 (n,)
        maps     float64 (n, 2, 3): the place (row, column) in the source of the result's pixel (i, j) is M (i, j, 1);
                 between pixels the source is bilinear, outside it is as `fill` says, with `fill_value` where constant
        light    float32 (n, 3): a factor about the image's own mean, what is added then, and the standard deviation of
                 Gaussian noise, these two in grey levels; (1, 0, 0) for none
        keys     uint64 (n,): of the noise, which depends on nothing else but a value's place in the image
        patches  int64 (n, 4): top, bottom, left, right of a rectangle that is painted with `fill_value`; may be empty
        """
        ...

    def blur(self, pixels: Array, taps: Array) -> Array:
        """uint8 (n, H, W, C): each image averaged along its columns and then along its rows, its edges drawn out.

        pixels  uint8 (n, H, W, C)
        taps    float32 (n, R + 1): what a pixel counts, and its neighbours up to R pixels away on either side
        """
        ...

    def elastic(self, pixels: Array, keys: Array, amount: float, spacing: float) -> Array:
        """uint8 (n, H, W, C): each pixel from a place that a smooth random field says, bilinear; edges are drawn out.

        The field, down and to the right, is the cubic B-spline of normal numbers at knots `spacing` pixels apart, of a
        standard deviation of `amount` pixels at the knots. keys uint64 (n,) are those of the numbers.
        """
        ...

    def recolour(self, pixels: Array, matrices: Array) -> Array:
        """uint8 (n, H, W, 3): each pixel of image i multiplied by matrices[i], float32 (n, 3, 3); rounded half up."""
        ...

    def mix(self, pixels: Array, others: Array, levels: Array, patches: Array) -> Array:
        """uint8 (n, H, W, C): level / 256 of each image and the rest of another; inside a patch, the other alone.

        pixels, others  uint8 (n, H, W, C)
        levels          int64 (n,), from 0 to 256
        patches         int64 (n, 4): top, bottom, left, right; may be empty
        """
        ...

    def step(
        self, formula: Formula, part: slice, theta: Array, gradients: Array, moments: Sequence[Array],
        scalars: Sequence[float], cuts: Sequence[int] = (),
    ) -> None:  # fmt: skip
        """A step of an optimizer, in place, for one `part` of the weights theta (n,) and of its moments (n,).

        The gradient is the sum of `gradients` (k, n) over k, in order: each worker may leave its own. What lies between
        two of the `cuts`, in order, is shared out among the threads by itself.
        """
        ...


def load(name: str = "compiled") -> Kernels:
    """Return the kernels called `name`. Raises ExperimentError for an unknown name."""
    if name not in NAMES:
        raise ExperimentError(f"kernels: {name!r} is unknown. {nearest(name, NAMES)}")
    if name == "compiled" and importlib.util.find_spec("numba") is None:
        raise ExperimentError(
            "The compiled kernels need Numba, which is not installed: pip install numba, or choose --kernels reference."
        )
    return cast(Kernels, importlib.import_module(f"firstlight.kernels.{name}"))


def output_size(size: Pair, kernel: Pair, stride: Pair, padding: Padding) -> Pair:
    """The (H', W') of a convolution or pooling over an image of `size` (H, W)."""
    height, width = ((n + sum(pad) - k) // s + 1 for n, k, s, pad in zip(size, kernel, stride, padding, strict=True))
    return height, width


def pad(x: Array, padding: Padding, value: float = 0.0) -> Array:
    """x (C, H, W, N) with a border of `value`."""
    if not any(map(any, padding)):
        return x
    return np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=value)


def taps(size: Pair, stride: Pair, out: Pair) -> Iterator[tuple[Pair, tuple[slice, ...]]]:
    """For each tap, row by row: its (row, column), and the slices of a padded image that it sees over all windows."""
    for r in range(size[0]):
        for s in range(size[1]):
            rows = slice(r, r + stride[0] * (out[0] - 1) + 1, stride[0])
            columns = slice(s, s + stride[1] * (out[1] - 1) + 1, stride[1])
            yield (r, s), (slice(None), rows, columns, slice(None))


__all__ = [
    "GRID",
    "NAMES",
    "NOISE_MEAN",
    "NOISE_SD",
    "Fill",
    "Kernels",
    "Padding",
    "Pair",
    "Shape",
    "load",
    "output_size",
    "pad",
    "taps",
]
