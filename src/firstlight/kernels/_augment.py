"""Augmentation: images shared out to the threads, each image in one affine, bilinear pass, then light, noise, a patch.

A pixel of the result asks for four neighbours of the source. They are put together in one number beforehand, so that it
takes a single look-up, and the arithmetic goes over whole rows in vectors. Every step is in the order of operations of
`reference`, in float32, so that the results are its results to the last bit, on however many threads.
"""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import math

import numpy as np
from numba import get_num_threads, prange

from firstlight.kernels import NOISE_MEAN, NOISE_SD, Fill
from firstlight.kernels._jit import inner, parallel
from firstlight.types import Array

# Row buffers are a multiple of so many pixels long: no loop has a rest that goes one by one.
LANES = 16
SINGLE, LONG, BYTE = np.float32, np.uint32, np.uint8
HALF, ZERO, MOST, MEAN, STEADY = SINGLE(0.5), SINGLE(0), SINGLE(255), SINGLE(NOISE_MEAN), SINGLE(1 / NOISE_SD)
LOW_BYTES, BYTE_MASK = LONG(0x00FF00FF), LONG(0xFF)
# The multipliers of a hash of 32 bits (Wellons, "Prospecting for hash functions", 2018, lowbias32).
FIRST, SECOND = LONG(0x7FEB352D), LONG(0x846CA68B)


def augment(
    pixels: Array, index: Array, maps: Array, light: Array, keys: Array, patches: Array, fill: Fill, fill_value: int
) -> Array:
    """Raises IndexError or ValueError for what lies outside the images: no kernel would notice."""
    if len(index) and not 0 <= index.min() <= index.max() < len(pixels):
        raise IndexError(f"augment: indices {index.min()}..{index.max()} of {len(pixels)} images.")
    if not (np.abs(maps) < 1e6).all():
        raise ValueError("augment: maps must be finite, and below a million.")
    _, H, W, _ = pixels.shape
    if len(patches) and (patches.min() < 0 or patches[:, 1].max() > H or patches[:, 3].max() > W):
        raise IndexError("augment: patches must lie inside the images.")
    y = np.empty((len(index), *pixels.shape[1:]), np.uint8)
    workers = max(1, min(get_num_threads(), len(index)))
    _augment(
        workers, np.ascontiguousarray(pixels), index, maps, light, keys, patches,
        fill == "reflect", fill == "constant", BYTE(fill_value), y,
    )  # fmt: skip
    return y


@parallel
def _augment(workers, pixels, index, maps, light, keys, patches, reflected, constant, value, y):
    for worker in prange(workers):
        n = len(index)
        first, end = n * worker // workers, n * (worker + 1) // workers
        _share(first, end, pixels, index, maps, light, keys, patches, reflected, constant, value, y)


@inner
def _share(first, end, pixels, index, maps, light, keys, patches, reflected, constant, value, y):
    """The images of one thread, with memory of its own for one image and one row."""
    _, H, W, C = pixels.shape
    wide = -(-W // LANES) * LANES
    plane = np.empty((H + 3, W + 3), np.uint8)
    quads = np.empty((C, (H + 2) * (W + 2)), np.uint32)
    places, quad = np.empty(wide, np.int32), np.empty(wide, np.uint32)
    across, down = np.empty(wide, np.float32), np.empty(wide, np.float32)
    row = np.empty(wide, np.uint8)
    for n in range(first, end):
        x, m, out = pixels[index[n]], maps[n], y[n]
        if _is_identity(m):
            out[:] = x
        else:
            for c in range(C):
                _pack(x, c, constant, value, plane, quads[c])
            for i in range(H):
                _positions(m, i, H, W, reflected, constant, places, across, down)
                for c in range(C):
                    _fetch(quads[c], places, quad)
                    _blend(quad, across, down, row)
                    for j in range(W):
                        out[i, j, c] = row[j]
        if light[n, 0] != 1 or light[n, 1] != 0 or light[n, 2] != 0:
            _relight(out.reshape(-1), light[n], keys[n])
        top, bottom, left, right = patches[n]
        for i in range(top, bottom):
            for j in range(left, right):
                out[i, j] = value


@inner
def _is_identity(m):
    return m[0, 0] == 1 and m[0, 1] == 0 and m[0, 2] == 0 and m[1, 0] == 0 and m[1, 1] == 1 and m[1, 2] == 0


@inner
def _pack(x, c, constant, value, plane, quads):
    """A channel with a border of one pixel; of each pixel in it, the four that lie right and below, in one number."""
    H, W, _ = x.shape
    for r in range(H):
        row = plane[r + 1]
        for s in range(W):
            row[s + 1] = x[r, s, c]
        row[0] = value if constant else row[1]
        row[W + 1] = value if constant else row[W]
        row[W + 2] = row[W + 1]
    for s in range(W + 3):
        plane[0, s] = value if constant else plane[1, s]
        plane[H + 1, s] = value if constant else plane[H, s]
        plane[H + 2, s] = plane[H + 1, s]
    for r in range(H + 2):
        _pack_row(plane[r], plane[r + 1], quads[r * (W + 2) : (r + 1) * (W + 2)])


@inner
def _pack_row(above, below, quads):
    for s in range(len(quads)):
        upper = LONG(above[s]) | LONG(LONG(above[s + 1]) << LONG(8))
        lower = LONG(LONG(below[s]) << LONG(16)) | LONG(LONG(below[s + 1]) << LONG(24))
        quads[s] = LONG(upper | lower)


@inner
def _positions(m, i, H, W, reflected, constant, places, across, down):
    """Where each pixel of row i lies in the bordered source: the pixel up and left of it, and how far beyond that."""
    low = ZERO if constant else SINGLE(1)
    bottom, right = (SINGLE(H + 1), SINGLE(W + 1)) if constant else (SINGLE(H), SINGLE(W))
    r0, s0 = SINGLE(m[0, 0] * i + m[0, 2] + 1), SINGLE(m[1, 0] * i + m[1, 2] + 1)
    dr, ds = SINGLE(m[0, 1]), SINGLE(m[1, 1])
    stride = np.int32(W + 2)
    for j in range(len(places)):
        r, s = r0 + dr * SINGLE(j), s0 + ds * SINGLE(j)
        if reflected:
            r, s = _reflected(r, SINGLE(H)), _reflected(s, SINGLE(W))
        r = r if r > low else low
        s = s if s > low else low
        r = r if r < bottom else bottom
        s = s if s < right else right
        up, left = np.int32(r), np.int32(s)
        down[j], across[j] = r - SINGLE(up), s - SINGLE(left)
        places[j] = np.int32(up * stride) + left


@inner
def _reflected(p, size):
    """A position folded back at the edges of a bordered row of `size` pixels."""
    q = p - HALF
    q = q - SINGLE(2) * size * SINGLE(math.floor(q / (SINGLE(2) * size)))
    return size - abs(q - size) + HALF


@inner
def _fetch(quads, places, quad):
    for j in range(len(places)):
        quad[j] = quads[np.uint64(places[j])]


@inner
def _blend(quad, across, down, row):
    for j in range(len(row)):
        q = quad[j]
        a, b = SINGLE(np.int32(q & BYTE_MASK)), SINGLE(np.int32((q >> LONG(8)) & BYTE_MASK))
        c, d = SINGLE(np.int32((q >> LONG(16)) & BYTE_MASK)), SINGLE(np.int32(q >> LONG(24)))
        upper, lower = a + across[j] * (b - a), c + across[j] * (d - c)
        row[j] = BYTE(np.int32(upper + down[j] * (lower - upper) + HALF))


@inner
def _relight(y, light, key):
    """Contrast about the image's mean, brightness and noise, in place."""
    factor, brightness, sd = light[0], light[1], light[2]
    total = np.int64(0)
    for v in y:
        total += v
    offset = SINGLE((1 - np.float64(factor)) * (total / len(y)) + np.float64(brightness))
    low, high = LONG(key & np.uint64(0xFFFFFFFF)), LONG(key >> np.uint64(32))
    if sd == 0:
        for p in range(len(y)):
            y[p] = _byte(factor * SINGLE(y[p]) + offset)
    else:
        for p in range(len(y)):
            first = _hash(LONG(LONG(p) + low))
            y[p] = _byte(factor * SINGLE(y[p]) + offset + sd * _normal(first, _hash(LONG(first ^ high))))


@inner
def _byte(v):
    v = v if v > ZERO else ZERO
    v = v if v < MOST else MOST
    return BYTE(np.int32(v + HALF))


@inner
def _hash(h):
    h = LONG(LONG(h ^ LONG(h >> LONG(16))) * FIRST)
    h = LONG(LONG(h ^ LONG(h >> LONG(15))) * SECOND)
    return LONG(h ^ LONG(h >> LONG(16)))


@inner
def _normal(a, b):
    """Nearly a standard normal number: the sum of the eight bytes of two hashes."""
    pairs = LONG(a & LOW_BYTES) + LONG(LONG(a >> LONG(8)) & LOW_BYTES)
    pairs += LONG(b & LOW_BYTES) + LONG(LONG(b >> LONG(8)) & LOW_BYTES)
    return (SINGLE(np.int32((pairs & LONG(0xFFFF)) + (pairs >> LONG(16)))) - MEAN) * STEADY
