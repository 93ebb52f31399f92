"""Convolutions, products of matrices, and their gradients."""

# Numba infers the types of compiled functions, and O is the number of filters.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"
# ruff: noqa: E741

from __future__ import annotations

from firstlight.kernels._elementwise import total
from firstlight.kernels._interpreter import (
    ARENA,
    GRADIENT,
    LONG,
    SCRATCH,
    SINGLE,
    TABLES,
    THETA,
    WORKERS,
    operation,
    view,
)
from firstlight.kernels._jit import inner
from firstlight.kernels._tiles import (
    FROM_BIAS,
    FROM_TARGET,
    FROM_ZERO,
    dots_of_strip,
    dots_of_worker,
    tiles_of_strip,
    tiles_of_worker,
)


@operation
def tiles(op, n, n0, chunk, frame, like):
    """y = bias + Σ W · x: [x, y, W, bias, C, H, W, O, H', W', W_row, sh, tables, block, height, lines, line, relu].

    With a block of 0, x is read where it lies, which needs no border. With C = 0 it is the gradient of a product,
    dW = dy xᵀ: x is xᵀ (n, W'), W is dy in the arena, and y the place in the gradient.
    """
    op, frame = view(op, LONG), view(frame, LONG)
    arena, theta, gradient = view(frame[ARENA], like), view(frame[THETA], like), view(frame[GRADIENT], like)
    tables, scratch = view(frame[TABLES], SINGLE), view(frame[SCRATCH], like)
    C, H, W, O, Hy, Wy, relu = op[5], op[6], op[7], op[8], op[9], op[10], op[18] != 0
    x = arena[op[1] * n :]
    taps, runs, rows, pieces, _ = _tables(tables, op[13], Hy)
    if C == 0:
        start = FROM_ZERO if chunk < frame[WORKERS] else FROM_TARGET
        tiles_of_strip(
            x, 0, arena[op[3] * n :], n, taps, runs, gradient, gradient[op[2] :], (1, 1, Wy), (0, Wy), (0, 1), (0, O),
            scratch, 0, start, relu,
        )  # fmt: skip
        return
    y, bias, start = arena[op[2] * n :], theta[max(op[4], 0) :], FROM_ZERO if op[4] < 0 else FROM_BIAS
    if op[14] == 0:
        tiles_of_strip(
            x, op[12] * W * n, theta[op[3] :], op[11], taps, runs, bias, y, (Hy, Wy, n), (0, n), (0, Hy), (0, O),
            scratch, 0, start, relu,
        )  # fmt: skip
    else:
        tiles_of_worker(
            x, theta[op[3] :], op[11], bias, y, (C, H, W, n), (O, Hy, Wy), scratch, op[12], taps, runs, rows, pieces,
            (op[14], op[15], op[16], op[17]), 0, 1, start, relu,
        )  # fmt: skip


@operation
def dots(op, n, n0, chunk, frame, like):
    """dW += Σ dy · x: [x, dy, dW, C, H, W, O, H', W', K, sh, tables, block, height, lines, line, y_line, direct, y's].

    With a block of 0, both are read where they lie. The last field is where the tables of dy are.
    """
    op, frame = view(op, LONG), view(frame, LONG)
    arena, gradient = view(frame[ARENA], like), view(frame[GRADIENT], like)
    tables, scratch = view(frame[TABLES], SINGLE), view(frame[SCRATCH], like)
    C, H, W, O, Hy, Wy, K = op[4], op[5], op[6], op[7], op[8], op[9], op[10]
    x, dy, dW = arena[op[1] * n :], arena[op[2] * n :], gradient[op[3] : op[3] + O * K]
    _, _, rows, pieces, reads = _tables(tables, op[12], Hy)
    if chunk < frame[WORKERS]:
        dW[:] = 0
    if op[13] == 0:
        lines = W * n * op[11]
        dots_of_strip(x, lines, dy.ctypes.data, Hy * Wy * n, Wy * n, reads, (0, O), K, Hy, Wy * n, dW)
        return
    y_rows, y_pieces = tables[op[19] : op[19] + Hy], tables[op[19] + Hy : op[19] + Hy + 3].reshape(1, 3)
    cut = op[13], op[14], op[15], op[16], op[17], op[18] != 0
    dots_of_worker(
        x, dy, dW, (C, H, W, n), (O, Hy, Wy), scratch, op[11], reads, rows, pieces, y_rows, y_pieces, cut, 0, 1
    )


@inner
def _tables(tables, at, Hy):
    """taps, runs, rows, pieces and reads; their lengths come first."""
    taps, tiles, rows, pieces, reads = tables[at], tables[at + 1], tables[at + 2], tables[at + 3], tables[at + 4]
    a = at + 5
    b = a + 2 * taps
    c = b + 2 * Hy * tiles
    d = c + rows
    e = d + 3 * pieces
    return (
        tables[a:b].reshape(taps, 2),
        tables[b:c].reshape(Hy, tiles, 2),
        tables[c:d],
        tables[d:e].reshape(pieces, 3),
        tables[e : e + reads],
    )


@operation
def transpose(op, n, n0, chunk, frame, like):
    """xᵀ (n, K) of x (K, n): [x, xᵀ, K]."""
    op, frame = view(op, LONG), view(frame, LONG)
    K = op[3]
    x, y = view(frame[ARENA], like)[op[1] * n :], view(frame[ARENA], like)[op[2] * n :]
    for k in range(K):
        for i in range(n):
            y[i * K + k] = x[k * n + i]


@operation
def bias_gradient(op, n, n0, chunk, frame, like):
    """db = Σ dy over pixels and images: [dy, db, O, pixels]."""
    op, frame = view(op, LONG), view(frame, LONG)
    arena, gradient = view(frame[ARENA], like), view(frame[GRADIENT], like)
    for o in range(op[3]):
        found = total(arena, (op[1] + o * op[4]) * n, op[4] * n)
        gradient[op[2] + o] = found if chunk < frame[WORKERS] else gradient[op[2] + o] + found
