"""Convolution and its gradients: what each asks of the tiles.

A dx is a forward convolution of dy with the flipped kernel, and a stride only spreads the pixels: their plans differ,
their loops do not. A kernel as large as its image makes all three a product of matrices.
"""

# ruff: noqa: E741  (O is the number of filters)

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numba import get_num_threads

from firstlight.kernels import Padding, Pair, output_size
from firstlight.kernels._plan import DOT_STRIP, TILE_STRIP, plan
from firstlight.kernels._tiles import ROWS, sum_dots, sum_tiles
from firstlight.kernels._vectors import VECTOR_BYTES
from firstlight.types import Array

_memory = threading.local()


def conv2d(x: Array, W: Array, b: Array | None, stride: Pair, padding: Padding) -> Array:
    """y (O, H', W', N)."""
    O, C, kh, kw = W.shape
    N = x.shape[3]
    out = output_size(x.shape[1:3], (kh, kw), stride, padding)
    bias = np.zeros(O, x.dtype) if b is None else b
    if _is_product(x.shape[1:3], (kh, kw), padding):
        return _correlate(x.reshape(-1, 1, 1, N), W, (C * kh * kw, 1), bias, (O, 1, 1, N))
    start = (-padding[0][0], -padding[1][0])
    return _correlate(x, W, (C * kh * kw, kh * kw), bias, (O, *out, N), (kh, kw), stride, start=start)


def conv2d_dx(dy: Array, W: Array, stride: Pair, padding: Padding, size: Pair) -> Array:
    """dx (C, H, W, N): the correlation of dy, spread by the stride, with the flipped kernel."""
    _, C, kh, kw = W.shape
    N = dy.shape[3]
    K = C * kh * kw
    if _is_product(size, (kh, kw), padding):
        return _correlate(dy, W, (1, K), np.zeros(K, dy.dtype), (K, 1, 1, N)).reshape(C, *size, N)
    start = (padding[0][0] - kh + 1, padding[1][0] - kw + 1)
    zeros = np.zeros(C, dy.dtype)
    return _correlate(dy, W, (kh * kw, K), zeros, (C, *size, N), (kh, kw), spread=stride, start=start, flipped=True)


def conv2d_dW(x: Array, dy: Array, stride: Pair, padding: Padding, size: Pair) -> Array:
    """dW (O, C, kh, kw): each worker sums its strips, then the sums are added in order."""
    (C, _, _, N), (O, Hy, Wy, _), (kh, kw) = x.shape, dy.shape, size
    K = C * kh * kw
    if _is_product(x.shape[1:3], size, padding):
        images = np.ascontiguousarray(x.reshape(K, N).T).reshape(N, 1, 1, K)
        return _correlate(images, dy, (N, 1), np.zeros(O, x.dtype), (O, 1, 1, K)).reshape(O, C, kh, kw)
    lanes, workers = VECTOR_BYTES // x.itemsize, get_num_threads()
    start = (-padding[0][0], -padding[1][0])
    _, _, reads, rows, pieces, block, height, lines, line = plan(
        x.shape, (Hy, Wy), size, stride, (1, 1), start, kh * kw, False, lanes, lanes, x.itemsize, DOT_STRIP, workers
    )
    direct = block == N and Wy * N % lanes == 0  # whole vectors of dy lie as the dots want them
    y_line = Wy * N if direct else -(-Wy * block // lanes) * lanes
    scratch = _strips(workers, C * lines * line + lanes + (0 if direct else O * height * y_line), x.dtype)
    sums = np.zeros((workers, O, K), x.dtype)
    sum_dots(
        _flat(x, x.dtype), _flat(dy, x.dtype), sums, x.shape, (O, Hy, Wy), scratch, stride[0], reads, rows, pieces,
        np.arange(Hy, dtype=np.int32), np.array([[0, 0, Wy]], np.int32), (block, height, lines, line, y_line, direct),
    )  # fmt: skip
    return (sums.sum(0) if workers > 1 else sums).reshape(O, C, kh, kw)


def _is_product(image: Pair, kernel: Pair, padding: Padding) -> bool:
    """Whether the kernel covers the whole image, so that the convolution is a product of matrices."""
    return image == kernel and not any(map(any, padding))


def _correlate(
    x: Array,
    W: Array,
    W_strides: Pair,
    bias: Array,
    shape: tuple[int, int, int, int],
    kernel: Pair = (1, 1),
    stride: Pair = (1, 1),
    spread: Pair = (1, 1),
    start: Pair = (0, 0),
    flipped: bool = False,
) -> Array:
    """y of `shape` = bias + Σ W · x; `W_strides` lie between the rows (channels of y) and the channels of W."""
    lanes, workers = VECTOR_BYTES // x.itemsize, get_num_threads()
    W_row, W_channel = W_strides
    taps, runs, _, rows, pieces, block, height, lines, line = plan(
        x.shape, shape[1:3], kernel, stride, spread, start, W_channel, flipped, lanes, 2 * lanes, x.itemsize,
        TILE_STRIP, workers,
    )  # fmt: skip
    scratch = _strips(workers, len(x) * lines * line + 2 * lanes + 2 * ROWS * lanes, x.dtype)
    y = np.empty(shape, x.dtype)
    sum_tiles(
        _flat(x, x.dtype), _flat(W, x.dtype), W_row, _flat(bias, x.dtype), y.reshape(-1), x.shape, shape[:3], scratch,
        stride[0], taps, runs, rows, pieces, (block, height, lines, line),
    )  # fmt: skip
    return y


def _flat(x: Array, dtype: Any) -> Array:
    """x in one dimension, contiguous and of `dtype`; a view wherever it can be."""
    return np.ascontiguousarray(x, dtype).reshape(-1)


def _strips(workers: int, size: int, dtype: Any) -> Array:
    """Memory (workers, size or more) that the calling thread keeps between calls, on the vectors' boundaries."""
    row = -(-size * dtype.itemsize // VECTOR_BYTES) * VECTOR_BYTES
    scratch: Array | None = getattr(_memory, "scratch", None)
    if scratch is None or len(scratch) < workers * row + VECTOR_BYTES:
        scratch = _memory.scratch = np.empty(workers * row + VECTOR_BYTES, np.uint8)
    skip = -scratch.ctypes.data % VECTOR_BYTES
    return scratch[skip : skip + workers * row].view(dtype).reshape(workers, -1)
