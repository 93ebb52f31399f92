"""What goes into a net: the images of a batch, gathered and prepared."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import numpy as np

from firstlight.kernels._elementwise import SIDE, turned
from firstlight.kernels._interpreter import ARENA, BYTE, INDEX, LONG, PIXELS, SCALE, SHIFT, operation, view


@operation
def gather(op, n, n0, chunk, frame, like):
    """x = pixels · scale + shift, the batch last: [x, C, H W]."""
    op, frame = view(op, LONG), view(frame, LONG)
    x, scale, shift = view(frame[ARENA], like), view(frame[SCALE], like), view(frame[SHIFT], like)
    index, pixels = view(frame[INDEX], LONG), view(frame[PIXELS], BYTE)
    C, area = op[2], op[3]
    length = C * area
    blocks, bytes_ = n // SIDE * SIDE, length // SIDE * SIDE
    block = np.empty(SIDE * SIDE, np.uint8)
    for at in range(0, bytes_, SIDE):
        for i0 in range(0, blocks, SIDE):
            turned(pixels, index, n0 + i0, length, at, block)
            for k in range(SIDE):
                f = (at + k) % C * area + (at + k) // C if C > 1 else at + k
                batch = x[(op[1] + f) * n + i0 : (op[1] + f) * n + i0 + SIDE]
                a, b = scale[f], shift[f]
                for i in range(SIDE):
                    batch[i] = scale.dtype.type(block[k * SIDE + i]) * a + b
    for at in range(bytes_, length):
        f = at % C * area + at // C
        for i in range(blocks):
            pixel = pixels[index[n0 + i] * length + at]
            x[(op[1] + f) * n + i] = scale.dtype.type(pixel) * scale[f] + shift[f]
    for i in range(blocks, n):
        image = pixels[index[n0 + i] * length : (index[n0 + i] + 1) * length]
        for c in range(C):
            to, a, b = x[(op[1] + c * area) * n + i :], scale[c * area :], shift[c * area :]
            for k in range(area):
                to[k * n] = scale.dtype.type(image[k * C + c]) * a[k] + b[k]


@operation
def standardise(op, n, n0, chunk, frame, like):
    """Each image minus its mean, by its standard deviation where that is not zero: [x, features]."""
    op, frame = view(op, LONG), view(frame, LONG)
    x = view(frame[ARENA], like)[op[1] * n :]
    mean, square = np.zeros(n), np.zeros(n)
    for f in range(op[2]):
        for i in range(n):
            mean[i] += x[f * n + i]
    for i in range(n):
        mean[i] /= op[2]
    for f in range(op[2]):
        for i in range(n):
            apart = x[f * n + i] - mean[i]
            square[i] += apart * apart
    for i in range(n):
        square[i] = np.sqrt(square[i] / op[2])
        square[i] = 1 / square[i] if square[i] > 0 else 1.0
    for f in range(op[2]):
        for i in range(n):
            x[f * n + i] = (x[f * n + i] - mean[i]) * square[i]
