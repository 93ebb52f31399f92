"""Mixing images with others, in integers: images shared out to the threads."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import get_num_threads, prange

from firstlight.kernels._jit import inner, parallel
from firstlight.types import Array

SHORT, BYTE = np.uint16, np.uint8


def mix(pixels: Array, others: Array, levels: Array, patches: Array) -> Array:
    """Raises ValueError or IndexError for what lies outside the images: no kernel would notice."""
    n, H, W, _ = pixels.shape
    if others.shape != pixels.shape or len(levels) != n or patches.shape != (n, 4):
        raise ValueError(
            f"mix: images {pixels.shape} and {others.shape}, {len(levels)} levels, {patches.shape} patches."
        )
    if n and (levels.min() < 0 or levels.max() > 256):
        raise ValueError(f"mix: levels from {levels.min()} to {levels.max()} of 256.")
    if n and (patches.min() < 0 or patches[:, 1].max() > H or patches[:, 3].max() > W):
        raise IndexError("mix: patches must lie inside the images.")
    y = np.empty_like(pixels, order="C")
    if y.size:
        workers = max(1, min(get_num_threads(), n))
        _mix(workers, np.ascontiguousarray(pixels), np.ascontiguousarray(others), levels, patches, y)
    return y


@parallel
def _mix(workers, pixels, others, levels, patches, y):
    for worker in prange(workers):
        n = len(pixels)
        for i in range(n * worker // workers, n * (worker + 1) // workers):
            _blend(pixels[i].reshape(-1), others[i].reshape(-1), SHORT(levels[i]), y[i].reshape(-1))
            top, bottom, left, right = patches[i]
            for r in range(top, bottom):
                for s in range(left, right):
                    y[i, r, s] = others[i, r, s]


@inner
def _blend(x, z, level, y):
    """256 · 255 + 128 fits into sixteen bits."""
    rest = SHORT(256 - level)
    for p in range(len(y)):
        y[p] = BYTE(SHORT(SHORT(level * x[p]) + SHORT(rest * z[p]) + SHORT(128)) >> SHORT(8))
