"""Gaussian blur: images shared out to the threads, in rows of vectors, in the order of operations of `reference`."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import get_num_threads, prange

from firstlight.kernels._augment import _byte
from firstlight.kernels._jit import inner, parallel
from firstlight.types import Array

SINGLE = np.float32


def blur(pixels: Array, taps: Array) -> Array:
    """Raises ValueError where there is not a row of taps for each image."""
    if len(taps) != len(pixels) or not taps.shape[1]:
        raise ValueError(f"blur: {len(taps)} rows of {taps.shape[1]} taps for {len(pixels)} images.")
    y = np.empty_like(pixels, order="C")
    if y.size:
        workers = max(1, min(get_num_threads(), len(pixels)))
        _blur(workers, np.ascontiguousarray(pixels), np.ascontiguousarray(taps, np.float32), y)
    return y


@parallel
def _blur(workers, pixels, taps, y):
    for worker in prange(workers):
        n = len(pixels)
        first, end = n * worker // workers, n * (worker + 1) // workers
        _share(first, end, pixels, taps, y)


@inner
def _share(first, end, pixels, taps, y):
    """The images of one thread. A row, of W C numbers, has a border of R pixels on either side."""
    _, H, W, C = pixels.shape
    R = taps.shape[1] - 1
    source = np.empty((H, W * C), np.float32)
    row = np.empty((W + 2 * R) * C, np.float32)
    out = np.empty(W * C, np.float32)
    for n in range(first, end):
        reach = R
        while reach > 0 and taps[n, reach] == 0:
            reach -= 1
        flat, made = pixels[n].reshape(H, W * C), y[n].reshape(H, W * C)
        for i in range(H):
            for p in range(W * C):
                source[i, p] = SINGLE(flat[i, p])
        for i in range(H):
            middle = row[R * C : (R + W) * C]
            _scaled(source[i], taps[n, 0], middle)
            for r in range(1, reach + 1):
                _add_pair(source[max(i - r, 0)], source[min(i + r, H - 1)], taps[n, r], middle)
            for p in range(R * C):
                row[p] = middle[p % C]
                row[(R + W) * C + p] = middle[(W - 1) * C + p % C]
            _scaled(middle, taps[n, 0], out)
            for r in range(1, reach + 1):
                _add_pair(row[(R - r) * C : (R - r + W) * C], row[(R + r) * C : (R + r + W) * C], taps[n, r], out)
            for p in range(W * C):
                made[i, p] = _byte(out[p])


@inner
def _scaled(x, tap, out):
    for p in range(len(out)):
        out[p] = tap * x[p]


@inner
def _add_pair(before, after, tap, out):
    for p in range(len(out)):
        out[p] += tap * (before[p] + after[p])
