"""Dropout."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

from firstlight.kernels._interpreter import ARENA, BYTE, CONSTANTS, DOUBLE, IMAGES, LONG, MASKS, operation, view


@operation
def drop(op, n, n0, chunk, frame, like):
    """y = x / (1 − rate) where kept, else 0: [x, y, features, mask, 1 / (1 − rate)]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena, kept, constants = view(frame[ARENA], like), view(frame[MASKS], BYTE), view(frame[CONSTANTS], DOUBLE)
    factor = arena.dtype.type(constants[op[5]])
    for f in range(op[3]):
        y = arena[(op[2] + f) * n : (op[2] + f + 1) * n]
        if op[1] != op[2]:
            y[:] = arena[(op[1] + f) * n : (op[1] + f + 1) * n]
        mask = kept[(op[4] + f) * frame[IMAGES] + n0 : (op[4] + f) * frame[IMAGES] + n0 + n]
        for i in range(n):
            y[i] *= mask[i] * factor
