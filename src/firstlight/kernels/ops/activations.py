"""Activations and their gradients."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

from firstlight.kernels._elementwise import activation, activation_gradient, rectified
from firstlight.kernels._interpreter import ARENA, CONSTANTS, DOUBLE, LONG, operation, view


@operation
def activate(op, n, n0, chunk, frame, like):
    """y = f(x): [x, y, features, kind, constant]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena, length = view(frame[ARENA], like), op[3] * n
    if op[1] != op[2]:
        arena[op[2] * n : op[2] * n + length] = arena[op[1] * n : op[1] * n + length]
    activation(op[4], arena[op[2] * n : op[2] * n + length], view(frame[CONSTANTS], DOUBLE)[op[5]])


@operation
def activate_back(op, n, n0, chunk, frame, like):
    """dy ← dy · f′: [y, dy, features, kind, constant]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena, length = view(frame[ARENA], like), op[3] * n
    y, dy = arena[op[1] * n : op[1] * n + length], arena[op[2] * n : op[2] * n + length]
    activation_gradient(op[4], y, dy, view(frame[CONSTANTS], DOUBLE)[op[5]])


@operation
def rectify_back(op, n, n0, chunk, frame, like):
    """dy where y > 0, else 0: [y, dy, features]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena, length = view(frame[ARENA], like), op[3] * n
    rectified(arena[op[1] * n : op[1] * n + length], arena[op[2] * n : op[2] * n + length])
