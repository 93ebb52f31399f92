"""Elastic deformation: images shared out to the threads, each with a field of its own, as `reference` has it."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import get_num_threads, prange

from firstlight.kernels._augment import LANES, LONG, _blend, _fetch, _hash, _normal, _pack
from firstlight.kernels._jit import inner, parallel
from firstlight.kernels.reference import spline
from firstlight.types import Array

SINGLE = np.float32


def elastic(pixels: Array, keys: Array, amount: float, spacing: float) -> Array:
    """See `Kernels.elastic`. Raises ValueError where there is not a key for each image, or no space between knots."""
    if len(keys) != len(pixels) or not spacing > 0 or not 0 <= amount < 1e6:
        raise ValueError(f"elastic: {len(keys)} keys, {len(pixels)} images, spacing {spacing}, amount {amount}.")
    y = np.empty_like(pixels, order="C")
    if y.size:
        _, H, W, _ = pixels.shape
        workers = max(1, min(get_num_threads(), len(pixels)))
        source = np.ascontiguousarray(pixels)
        _elastic(workers, source, keys, SINGLE(amount), *spline(H, spacing), *spline(W, spacing), y)
    return y


@parallel
def _elastic(workers, pixels, keys, amount, down_first, down_weights, across_first, across_weights, y):
    for worker in prange(workers):
        n = len(pixels)
        first, end = n * worker // workers, n * (worker + 1) // workers
        _share(first, end, pixels, keys, amount, down_first, down_weights, across_first, across_weights, y)


@inner
def _share(first, end, pixels, keys, amount, down_first, down_weights, across_first, across_weights, y):
    """The images of one thread, with memory of its own for one field and one image."""
    _, H, W, C = pixels.shape
    wide = -(-W // LANES) * LANES
    tall, broad = down_first[H - 1] + 4, across_first[W - 1] + 4
    grid, rows = np.empty((2, tall, broad), np.float32), np.zeros((2, tall, wide), np.float32)
    plane = np.empty((H + 3, W + 3), np.uint8)
    quads = np.empty((C, (H + 2) * (W + 2)), np.uint32)
    places, quad = np.empty(wide, np.int32), np.empty(wide, np.uint32)
    across, down = np.empty(wide, np.float32), np.empty(wide, np.float32)
    row = np.empty(wide, np.uint8)
    for n in range(first, end):
        low, high = LONG(keys[n] & np.uint64(0xFFFFFFFF)), LONG(keys[n] >> np.uint64(32))
        flat = grid.reshape(-1)
        for p in range(len(flat)):
            start = _hash(LONG(LONG(p) + low))
            flat[p] = amount * _normal(start, _hash(LONG(start ^ high)))
        for axis in range(2):
            for k in range(tall):
                for j in range(W):
                    total = across_weights[0, j] * grid[axis, k, across_first[j]]
                    for t in range(1, 4):
                        total += across_weights[t, j] * grid[axis, k, across_first[j] + t]
                    rows[axis, k, j] = total
        for c in range(C):
            _pack(pixels[n], c, False, np.uint8(0), plane, quads[c])
        for i in range(H):
            k = down_first[i]
            _place(rows[:, k : k + 4], down_weights[:, i], i, H, W, places, across, down)
            for c in range(C):
                _fetch(quads[c], places, quad)
                _blend(quad, across, down, row)
                for j in range(W):
                    y[n, i, j, c] = row[j]


@inner
def _place(rows, weights, i, H, W, places, across, down):
    """Where each pixel of row i lies in the bordered source: the pixel up and left of it, and how far beyond that."""
    a, b, c, d = weights[0], weights[1], weights[2], weights[3]
    low, bottom, right, stride = SINGLE(1), SINGLE(H), SINGLE(W), np.int32(W + 2)
    for j in range(len(places)):
        v = a * rows[0, 0, j] + b * rows[0, 1, j] + c * rows[0, 2, j] + d * rows[0, 3, j]
        h = a * rows[1, 0, j] + b * rows[1, 1, j] + c * rows[1, 2, j] + d * rows[1, 3, j]
        r, s = SINGLE(i) + v + low, SINGLE(j) + h + low
        r = r if r > low else low
        s = s if s > low else low
        r = r if r < bottom else bottom
        s = s if s < right else right
        up, left = np.int32(r), np.int32(s)
        down[j], across[j] = r - SINGLE(up), s - SINGLE(left)
        places[j] = np.int32(up * stride) + left
