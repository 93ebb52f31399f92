"""The gradient with respect to the kernels of convolutions whose outputs are few: dW = Σ dy · x by products.

Dots of a few vectors cost more to close than to sum, and in a small image most taps hit zeros. So x is turned, channels
along the vectors, and for each tap the register tiles sum over the pixels and images that it hits, and over no others.
"""

# Numba infers the types of compiled functions, and O is the number of filters.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"
# ruff: noqa: E741, N815

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from firstlight.kernels._interpreter import call, view
from firstlight.kernels._jit import inner
from firstlight.kernels._tiles import FROM_ZERO, LONGEST, ROWS, TILES
from firstlight.kernels._vectors import VECTOR_BYTES, turn
from firstlight.kernels.operation import Cut, Part, Step, Subroutine, Value, step
from firstlight.types import Array

if TYPE_CHECKING:
    from firstlight.kernels.ops.convolution import Correlation

# What the sums of some filters may take of a core's cache.
SUMS = 1 << 18


def is_faster(c: Correlation, cut: Cut) -> bool:
    """Whether it is the faster way: few outputs, and whole vectors of channels."""
    few = math.prod(c.y[1:]) * cut.n <= LONGEST
    return few and c.spread == (1, 1) and cut.n >= cut.lanes and c.x[0] % cut.lanes == 0 and not cut.half


@step
class TurnedGradient(Step):
    """dW = Σ dy · x, for a `part` of the filters at a time.

    In scratch memory lie x (pixels, images, C) and the sums (area, part, C), in planes so far apart as the field says.
    """

    x: Value | Part
    dy: Value | Part
    dW: int
    C: int
    pixels: int
    O: int
    outputs: int
    area: int
    taps: Array
    runs: Array
    part: int
    S: int
    plane: int
    subroutine: Subroutine = TILES

    @classmethod
    def of(cls, x: Value | Part, dy: Value | Part, dW: int, c: Correlation, cut: Cut) -> TurnedGradient:
        """The step for the convolution that y came by."""
        (C, H, W), (O, Hy, Wy), area = c.x, c.y, math.prod(c.kernel)
        part = min(O, max(2 * ROWS, SUMS // (area * C * cut.itemsize) // ROWS * ROWS))
        taps, runs, images = [np.zeros((0, 2), int)], [], np.arange(cut.n)
        for r, s in np.ndindex(c.kernel):
            i, j = np.ogrid[:Hy, :Wy]
            row, column = i * c.stride[0] + r + c.start[0], j * c.stride[1] + s + c.start[1]
            hits = (row >= 0) & (row < H) & (column >= 0) & (column < W)
            seen, outputs = (row * W + column)[hits], (i * Wy + j)[hits]
            pairs = ((seen[:, None] * cut.n + images) * C, outputs[:, None] * cut.n + images)
            first = sum(map(len, taps))
            taps.append(np.stack([each.ravel() for each in pairs], 1))
            runs.append([[first, first + len(taps[-1])]] * -(-C // (2 * cut.lanes)))
        plane = part * C + cut.lanes
        return cls(
            x, dy, dW, C, H * W, O, Hy * Wy, area, np.concatenate(taps), np.array(runs), part, H * W * cut.n * C, plane
        )

    def scratch(self, cut: Cut) -> int:
        return self.S + self.area * self.plane

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        arena, scratch, dW = view(frame.arena, like), view(frame.scratch, like), view(frame.gradient, like)[op.dW :]
        size, C, O, pixels, lanes = arena.itemsize, op.C, op.O, op.pixels, VECTOR_BYTES // arena.itemsize
        for c in range(0, C, lanes):
            for p in range(pixels):
                for first in range(0, n, lanes):
                    i = min(first, n - lanes)  # some images are turned twice
                    turn(arena, op.x + (c * pixels + p) * n + i, pixels * n, scratch, (p * n + i) * C + c, C)
        columns = -(-C // (2 * lanes))
        for o0 in range(0, O, op.part):
            o1 = min(O, o0 + op.part)
            for t in range(op.area):
                call(op.subroutine, (
                    frame.scratch, frame.arena + (op.dy + o0 * op.outputs * n) * size, frame.tables + op.taps * 4,
                    frame.tables + (op.runs + 2 * columns * t) * 4, frame.scratch,
                    frame.scratch + (op.S + t * op.plane) * size, frame.scratch,
                    0, op.outputs * n, columns, C, 1, C, 0, C, 0, 1, 0, o1 - o0, 0, FROM_ZERO, 0,
                ))  # fmt: skip
            side_by_side(scratch[op.S :], op.plane, op.area, (o1 - o0) * C, dW[o0 * C * op.area :], frame.fresh != 0)


@inner
def side_by_side(planes, plane, area, count, to, fresh):
    """to[i · area + t] = planes[t · plane + i], added to what is there unless it is `fresh`."""
    for i in range(count):
        for t in range(area):
            value = planes[t * plane + i]
            to[i * area + t] = value if fresh else to[i * area + t] + value
