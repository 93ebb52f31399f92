"""What a convolution needs to know of its shapes alone: which taps hit a pixel, where they read, how work is cut.

A worker takes a strip at a time: some rows of outputs for a block of the batch. It copies the rows of x that these
need into memory of its own, (C, lines, line), where a line holds the columns of a row, and each column its images.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from firstlight.kernels import Pair
from firstlight.types import Array

# A strip of x, read many times, shares a core's second-level cache with W and the outputs. Measured with six sizes from
# 128 to 1024 KiB in turn (two cores of 1 MiB each, float32, nine rounds, the lower quartile) on the convolutions of
# mnist-cnn, fashion-cnn and vgg-small: forward at 256 KiB is within 10 % of the best of each. The dots' sums cost more
# to close the more often they start, so wide layers gain 35 to 70 % from 256 to 1024, and two small ones lose 15 %.
TILE_STRIP, DOT_STRIP = 1 << 18, 1 << 20


class Plan(NamedTuple):
    """The tables and the cut.

    taps     int32 (pairs, 2): where a tap reads in the strip and in W, listed for each class of row and column
    runs     int32 (H', tiles, 2): the first and the end of the `taps` that a tile of an output row needs
    reads    int32: where every tap reads in the strip, the last repeated up to a multiple of four
    rows     int32: the row of x behind each row of padded x, or -1
    pieces   int32 (pieces, 3): runs of columns, as position in the strip, first column of x, length; zeros between
    block    images in a strip
    height   output rows of a strip
    lines    rows of x in a strip
    line     elements of such a row
    """

    taps: Array
    runs: Array
    reads: Array
    rows: Array
    pieces: Array
    block: int
    height: int
    lines: int
    line: int


@lru_cache(maxsize=256)
def plan(
    shape: tuple[int, int, int, int],
    out: Pair,
    kernel: Pair,
    stride: Pair,
    spread: Pair,
    start: Pair,
    W_channel: int,
    flipped: bool,
    lanes: int,
    width: int,
    itemsize: int,
    strip_bytes: int,
) -> Plan:
    """Plan y[i, j] = Σ W[c, r, s] · x[c, (i · stride + r + start) / spread, ...] over the taps that hit a pixel.

    shape    (C, H, W, N) of x
    spread   the distance between the pixels of x, with zeros between: the dx of a strided convolution
    start    the position of the first tap of the first output: minus the padding
    flipped  whether W is read backwards, and `W_channel` is the distance of its channels
    lanes    the elements of a vector; a block of the batch is a multiple of `width`
    """
    C, H, W, N = shape
    (kh, kw), (sh, sw), (Hy, Wy) = kernel, stride, out
    positions = Wy + (kw - 1) // sw
    rows = _pixels(np.arange((Hy - 1) * sh + kh) + start[0], spread[0], H)
    # The columns of one phase of the stride lie together, so that neighbouring outputs read neighbouring columns.
    columns = _pixels((np.arange(positions) * sw + np.arange(sw)[:, None]).ravel() + start[1], spread[1], W)

    # Each strip copies kh - 1 rows that its neighbour copies too: rather fewer images than fewer than four rows.
    budget = strip_bytes // (C * sw * positions * itemsize)  # rows × images
    rows_at_once = (min(Hy, 4) - 1) * sh + kh
    block = N if rows_at_once * N <= budget else min(N, max(1, budget // rows_at_once // width) * width)
    fits = max(1, (budget // block - kh) // sh + 1)
    height = -(-Hy // min(Hy, -(-Hy // fits)))
    lines = (height - 1) * sh + kh
    line = -(-sw * positions * block // lanes) * lanes + lanes

    c, r, s = np.ogrid[:C, :kh, :kw]
    reads = (c * lines + r) * line + (s % sw * positions + s // sw) * block
    weighs = c * W_channel + ((kh - 1 - r) * kw + (kw - 1 - s) if flipped else r * kw + s)
    pairs = np.stack([reads, weighs], -1).astype(np.int32)

    row_hits = rows[np.arange(Hy)[:, None] * sh + np.arange(kh)] >= 0
    column_hits = columns[np.arange(kw) % sw * positions + np.arange(kw) // sw + np.arange(Wy)[:, None]] >= 0
    edges = np.arange(0, Wy * block, width)
    spans = zip(edges // block, (np.minimum(edges + width, Wy * block) - 1) // block, strict=True)
    tile_hits = [column_hits[first : last + 1].any(0) for first, last in spans]
    known: dict[bytes, tuple[int, int]] = {}
    lists: list[Array] = []
    runs = np.empty((Hy, len(tile_hits), 2), np.int32)
    end = 0
    for i, t in np.ndindex(runs.shape[:2]):
        hits = row_hits[i][:, None] & tile_hits[t]
        key = hits.tobytes()
        if key not in known:
            lists.append(pairs[:, hits].reshape(-1, 2))
            known[key] = (end, end := end + len(lists[-1]))
        runs[i, t] = known[key]
    every = pairs[..., 0].ravel()
    every = np.append(every, np.full(-len(every) % 4, every[-1]))
    return Plan(np.concatenate(lists), runs, every, rows, _pieces(columns), block, height, lines, line)


def _pixels(position: Array, spread: int, size: int) -> Array:
    """The pixel at each position of an image whose pixels lie `spread` apart, or -1."""
    pixel = position // spread
    return np.where((position % spread == 0) & (pixel >= 0) & (pixel < size), pixel, -1).astype(np.int32)


def _pieces(columns: Array) -> Array:
    """Runs of consecutive pixels in `columns`, as (position, first pixel, length)."""
    at = np.flatnonzero(columns >= 0)
    first = np.flatnonzero((np.diff(at, prepend=-2) != 1) | (np.diff(columns[at], prepend=-2) != 1))
    return np.stack([at[first], columns[at][first], np.diff(first, append=len(at))], 1).astype(np.int32)
