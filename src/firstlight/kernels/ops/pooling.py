"""Pooling."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import numpy as np

from firstlight.kernels._elementwise import add_to, back_to_four, largest_of_four
from firstlight.kernels._interpreter import ARENA, BYTE, LONG, WINNERS, operation, view
from firstlight.kernels._tiles import VECTOR_BYTES


@operation
def max_pool(op, n, n0, chunk, frame, like):
    """y, and where each window's winner lies: [x, y, where, C, H, W, H', W', kh, kw, sh, sw, top, left, relu]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena, where = view(frame[ARENA], like), view(frame[WINNERS], BYTE)
    C, H, W, Hy, Wy, kh, kw = op[4], op[5], op[6], op[7], op[8], op[9], op[10]
    sh, sw, top, left, relu = op[11], op[12], op[13], op[14], op[15] != 0
    lanes = VECTOR_BYTES // arena.itemsize
    four = kh == 2 and kw == 2 and top == 0 and left == 0 and (Hy - 1) * sh + 2 <= H and (Wy - 1) * sw + 2 <= W
    done = n // lanes * lanes if four else 0  # images; the rest of them one by one
    x, y, at = op[1] * n, op[2] * n, op[3] * n
    for c in range(C):
        for i in range(Hy):
            if done:
                upper, row = x + (c * H + i * sh) * W * n, (c * Hy + i) * Wy * n
                largest_of_four(arena, upper, upper + W * n, sw * n, y + row, where, at + row, relu, Wy, n, done)
            if done == n:
                continue
            r0, r1 = max(0, top - i * sh), min(kh, H + top - i * sh)
            for j in range(Wy):
                to = ((c * Hy + i) * Wy + j) * n
                corner = x + ((c * H + i * sh - top) * W + j * sw - left) * n
                s0, s1 = max(0, left - j * sw), min(kw, W + left - j * sw)
                for m in range(done, n):
                    best, tap = -np.inf * arena.dtype.type(1), r0 * kw + s0
                    for r in range(r0, r1):
                        for s in range(s0, s1):
                            v = arena[corner + (r * W + s) * n + m]
                            if v > best or (v != v and best == best):
                                best, tap = v, r * kw + s
                    arena[y + to + m] = arena.dtype.type(0) if relu and best < 0 else best
                    where[at + to + m] = tap


@operation
def max_pool_back(op, n, n0, chunk, frame, like):
    """dx: dy at each window's winner: [dx, dy, where, C, H, W, H', W', kh, kw, sh, sw, top, left, relu, y]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena, where = view(frame[ARENA], like), view(frame[WINNERS], BYTE)
    C, H, W, Hy, Wy, kh, kw = op[4], op[5], op[6], op[7], op[8], op[9], op[10]
    sh, sw, top, left, relu = op[11], op[12], op[13], op[14], op[15] != 0
    lanes = VECTOR_BYTES // arena.itemsize
    four = kh == 2 and kw == 2 and sh == 2 and sw == 2 and top == 0 and left == 0 and 2 * Hy <= H and 2 * Wy <= W
    done = n // lanes * lanes if four else 0
    dx, dy, at, y = op[1] * n, op[2] * n, op[3] * n, op[16] * n
    if done < n or 2 * Hy < H or 2 * Wy < W:
        arena[dx : dx + C * H * W * n] = 0
    for c in range(C):
        for i in range(Hy):
            if done:
                upper, row = dx + (c * H + i * 2) * W * n, (c * Hy + i) * Wy * n
                back_to_four(arena, upper, upper + W * n, 2 * n, dy + row, y + row, where, at + row, relu, Wy, n, done)
            if done == n:
                continue
            for j in range(Wy):
                share = ((c * Hy + i) * Wy + j) * n
                corner = dx + ((c * H + i * sh - top) * W + j * sw - left) * n
                for m in range(done, n):
                    if not relu or arena[y + share + m] > 0:
                        r, s = divmod(np.int64(where[at + share + m]), kw)
                        arena[corner + (r * W + s) * n + m] += arena[dy + share + m]


@operation
def average_pool(op, n, n0, chunk, frame, like):
    """y: the mean over the pixels inside the image: [x, y, ·, C, H, W, H', W', kh, kw, sh, sw, top, left]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena = view(frame[ARENA], like)
    C, H, W, Hy, Wy, kh, kw = op[4], op[5], op[6], op[7], op[8], op[9], op[10]
    sh, sw, top, left = op[11], op[12], op[13], op[14]
    x, y = op[1] * n, op[2] * n
    for c in range(C):
        for i in range(Hy):
            r0, r1 = max(0, top - i * sh), min(kh, H + top - i * sh)
            for j in range(Wy):
                s0, s1 = max(0, left - j * sw), min(kw, W + left - j * sw)
                to = y + ((c * Hy + i) * Wy + j) * n
                arena[to : to + n] = 0
                for r in range(r0, r1):
                    for s in range(s0, s1):
                        add_to(arena, x + ((c * H + i * sh - top + r) * W + j * sw - left + s) * n, to, n)
                mean = arena[to : to + n]
                mean /= arena.dtype.type((r1 - r0) * (s1 - s0))


@operation
def average_pool_back(op, n, n0, chunk, frame, like):
    """dx: dy shared equally among the pixels: [dx, dy, ·, C, H, W, H', W', kh, kw, sh, sw, top, left]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena = view(frame[ARENA], like)
    C, H, W, Hy, Wy, kh, kw = op[4], op[5], op[6], op[7], op[8], op[9], op[10]
    sh, sw, top, left = op[11], op[12], op[13], op[14]
    dx, dy = op[1] * n, op[2] * n
    arena[dx : dx + C * H * W * n] = 0
    for c in range(C):
        for i in range(Hy):
            r0, r1 = max(0, top - i * sh), min(kh, H + top - i * sh)
            for j in range(Wy):
                s0, s1 = max(0, left - j * sw), min(kw, W + left - j * sw)
                share = dy + ((c * Hy + i) * Wy + j) * n
                count = arena.dtype.type((r1 - r0) * (s1 - s0))
                for r in range(r0, r1):
                    for s in range(s0, s1):
                        to = dx + ((c * H + i * sh - top + r) * W + j * sw - left + s) * n
                        for m in range(n):
                            arena[to + m] += arena[share + m] / count
