"""What copies, adds and clears values."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

from firstlight.kernels._elementwise import add_to
from firstlight.kernels._interpreter import ARENA, LONG, operation, view


@operation
def copy(op, n, n0, chunk, frame, like):
    """y = x: [x, y, features]."""
    op, frame = view(op, LONG), view(frame, LONG)
    x, y = view(frame[ARENA], like)[op[1] * n :], view(frame[ARENA], like)[op[2] * n :]
    for i in range(op[3] * n):
        y[i] = x[i]


@operation
def add(op, n, n0, chunk, frame, like):
    """y ← y + x: [x, y, features]."""
    op, frame = view(op, LONG), view(frame, LONG)
    add_to(view(frame[ARENA], like), op[1] * n, op[2] * n, op[3] * n)


@operation
def clear(op, n, n0, chunk, frame, like):
    """y = 0: [y, features]."""
    op, frame = view(op, LONG), view(frame, LONG)
    view(frame[ARENA], like)[op[1] * n : (op[1] + op[2]) * n] = 0
