"""Colours: each pixel multiplied by a matrix of its image, in the order of operations of `reference`."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import get_num_threads, prange

from firstlight.kernels._augment import _byte
from firstlight.kernels._jit import inner, parallel
from firstlight.types import Array

SINGLE = np.float32


def recolour(pixels: Array, matrices: Array) -> Array:
    """Raises ValueError for images without three channels, and where there is not a matrix for each."""
    if pixels.shape[3] != 3 or matrices.shape != (len(pixels), 3, 3):
        raise ValueError(f"recolour: images {pixels.shape} by matrices {matrices.shape}.")
    y = np.empty_like(pixels, order="C")
    if y.size:
        workers = max(1, min(get_num_threads(), len(pixels)))
        _recolour(workers, np.ascontiguousarray(pixels), np.ascontiguousarray(matrices, np.float32), y)
    return y


@parallel
def _recolour(workers, pixels, matrices, y):
    for worker in prange(workers):
        n = len(pixels)
        for i in range(n * worker // workers, n * (worker + 1) // workers):
            _image(pixels[i].reshape(-1), matrices[i], y[i].reshape(-1))


@inner
def _image(x, m, y):
    for p in range(len(x) // 3):
        red, green, blue = SINGLE(x[3 * p]), SINGLE(x[3 * p + 1]), SINGLE(x[3 * p + 2])
        y[3 * p] = _byte(m[0, 0] * red + m[0, 1] * green + m[0, 2] * blue)
        y[3 * p + 1] = _byte(m[1, 0] * red + m[1, 1] * green + m[1, 2] * blue)
        y[3 * p + 2] = _byte(m[2, 0] * red + m[2, 1] * green + m[2, 2] * blue)
