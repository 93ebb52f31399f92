"""Pooling and the gathering of a batch: rows of images in parallel, every inner loop along the batch.

The gradients gather as well: a pixel of dx collects from the windows that see it, so no two workers write one place.
"""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import prange

from firstlight.kernels import Padding, Pair, output_size
from firstlight.kernels._jit import inner, parallel
from firstlight.types import Array


def max_pool(x: Array, size: Pair, stride: Pair, padding: Padding) -> tuple[Array, Array]:
    """y and where; a NaN beats every number."""
    shape = (len(x), *output_size(x.shape[1:3], size, stride, padding), x.shape[3])
    y = np.empty(shape, x.dtype)
    where = np.empty(shape, np.uint8 if size[0] * size[1] <= 256 else np.int32)
    _max_pool(np.ascontiguousarray(x), y, where, size, stride, (padding[0][0], padding[1][0]))
    return y, where


def max_pool_dx(dy: Array, where: Array, size: Pair, stride: Pair, padding: Padding, input_size: Pair) -> Array:
    """dy to the pixels in `where`."""
    dx = np.empty((len(dy), *input_size, dy.shape[3]), dy.dtype)
    start = (padding[0][0], padding[1][0])
    _max_pool_dx(np.ascontiguousarray(dy), np.ascontiguousarray(where), dx, size, stride, start)
    return dx


def avg_pool(x: Array, size: Pair, stride: Pair, padding: Padding) -> Array:
    """The mean over the pixels inside the image."""
    y = np.empty((len(x), *output_size(x.shape[1:3], size, stride, padding), x.shape[3]), x.dtype)
    _avg_pool(np.ascontiguousarray(x), y, size, stride, (padding[0][0], padding[1][0]))
    return y


def avg_pool_dx(dy: Array, size: Pair, stride: Pair, padding: Padding, input_size: Pair) -> Array:
    """dy shared out over the pixels inside the image."""
    dx = np.empty((len(dy), *input_size, dy.shape[3]), dy.dtype)
    _avg_pool_dx(np.ascontiguousarray(dy), dx, size, stride, (padding[0][0], padding[1][0]))
    return dx


def gather(pixels: Array, index: Array, scale: Array, shift: Array) -> Array:
    """pixels[index] · scale + shift, the batch last. Raises IndexError for an index outside the images."""
    if len(index) and not 0 <= index.min() <= index.max() < len(pixels):
        raise IndexError(f"gather: indices {index.min()}..{index.max()} of {len(pixels)} images.")
    x = np.empty((*scale.shape, len(index)), scale.dtype)
    _gather(pixels, index, np.ascontiguousarray(scale), np.ascontiguousarray(shift), x)
    return x


@inner
def _seen(i, size, stride, start, length):
    """The first and the end of the taps of window i that lie inside an image of `length`."""
    first = i * stride - start
    return max(0, -first), min(size, length - first)


@inner
def _seeing(r, size, stride, start, windows):
    """The first and the end of the windows that see pixel r."""
    return max(0, (r + start - size) // stride + 1), min(windows, (r + start) // stride + 1)


@parallel
def _max_pool(x, y, where, size, stride, start):
    for row in prange(y.shape[0] * y.shape[1]):
        _max_pool_row(x, y, where, size, stride, start, *divmod(np.int64(row), y.shape[1]))


@inner
def _max_pool_row(x, y, where, size, stride, start, c, i):
    _, H, W, N = x.shape
    r0, r1 = _seen(i, size[0], stride[0], start[0], H)
    for j in range(y.shape[2]):
        s0, s1 = _seen(j, size[1], stride[1], start[1], W)
        best, at = y[c, i, j], where[c, i, j]
        best[:] = -np.inf
        at[:] = r0 * size[1] + s0
        for r in range(r0, r1):
            for s in range(s0, s1):
                tap = where.dtype.type(r * size[1] + s)
                v = x[c, i * stride[0] - start[0] + r, j * stride[1] - start[1] + s]
                for n in range(N):
                    wins = (v[n] > best[n]) | ((v[n] != v[n]) & (best[n] == best[n]))
                    best[n] = v[n] if wins else best[n]
                    at[n] = tap if wins else at[n]


@parallel
def _max_pool_dx(dy, where, dx, size, stride, start):
    for row in prange(dx.shape[0] * dx.shape[1]):
        _max_pool_dx_row(dy, where, dx, size, stride, start, *divmod(np.int64(row), dx.shape[1]))


@inner
def _max_pool_dx_row(dy, where, dx, size, stride, start, c, r):
    i0, i1 = _seeing(r, size[0], stride[0], start[0], dy.shape[1])
    for s in range(dx.shape[2]):
        j0, j1 = _seeing(s, size[1], stride[1], start[1], dy.shape[2])
        pixel = dx[c, r, s]
        pixel[:] = 0
        for i in range(i0, i1):
            for j in range(j0, j1):
                tap = where.dtype.type((r + start[0] - i * stride[0]) * size[1] + s + start[1] - j * stride[1])
                won, share = where[c, i, j], dy[c, i, j]
                for n in range(len(pixel)):
                    pixel[n] += share[n] if won[n] == tap else dx.dtype.type(0)


@parallel
def _avg_pool(x, y, size, stride, start):
    for row in prange(y.shape[0] * y.shape[1]):
        _avg_pool_row(x, y, size, stride, start, *divmod(np.int64(row), y.shape[1]))


@inner
def _avg_pool_row(x, y, size, stride, start, c, i):
    _, H, W, N = x.shape
    r0, r1 = _seen(i, size[0], stride[0], start[0], H)
    for j in range(y.shape[2]):
        s0, s1 = _seen(j, size[1], stride[1], start[1], W)
        mean = y[c, i, j]
        mean[:] = 0
        for r in range(r0, r1):
            for s in range(s0, s1):
                v = x[c, i * stride[0] - start[0] + r, j * stride[1] - start[1] + s]
                for n in range(N):
                    mean[n] += v[n]
        count = y.dtype.type((r1 - r0) * (s1 - s0))
        for n in range(N):
            mean[n] /= count


@parallel
def _avg_pool_dx(dy, dx, size, stride, start):
    for row in prange(dx.shape[0] * dx.shape[1]):
        _avg_pool_dx_row(dy, dx, size, stride, start, *divmod(np.int64(row), dx.shape[1]))


@inner
def _avg_pool_dx_row(dy, dx, size, stride, start, c, r):
    _, H, W, N = dx.shape
    i0, i1 = _seeing(r, size[0], stride[0], start[0], dy.shape[1])
    for s in range(W):
        j0, j1 = _seeing(s, size[1], stride[1], start[1], dy.shape[2])
        pixel = dx[c, r, s]
        pixel[:] = 0
        for i in range(i0, i1):
            r0, r1 = _seen(i, size[0], stride[0], start[0], H)
            for j in range(j0, j1):
                s0, s1 = _seen(j, size[1], stride[1], start[1], W)
                count = dx.dtype.type((r1 - r0) * (s1 - s0))
                share = dy[c, i, j]
                for n in range(N):
                    pixel[n] += share[n] / count


@parallel
def _gather(pixels, index, scale, shift, x):
    for row in prange(x.shape[1]):
        _gather_row(pixels, index, scale, shift, x, np.int64(row))


@inner
def _gather_row(pixels, index, scale, shift, x, row):
    C, _, W, n = x.shape
    for column in range(W):
        for c in range(C):
            a, b = scale[c, row, column], shift[c, row, column]
            batch = x[c, row, column]
            for i in range(n):
                batch[i] = pixels[index[i], row, column, c] * a + b
