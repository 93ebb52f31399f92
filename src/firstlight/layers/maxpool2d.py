"""Pooling by the largest value.

Derivation

s is the stride; p and q are the u and the v of the (first) largest value in the window of y[c,i,j].

    y[c,i,j] = max[u,v] x[c, i·s+u, j·s+v] = x[c, i·s+p, j·s+q]
    ∂y[c,i,j]/∂x[c, i·s+u, j·s+v] = 1 where (u, v) = (p, q), else 0   a little more of another value changes no y
    dx[c, i·s+p, j·s+q] += dy[c,i,j]      the chain rule, window by window: those that overlap add

Where two values are equally large there is no derivative; the first one takes it all.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Backward, Example, Pass, Tree, TwinPass
from firstlight.layers.layer_step import LayerStep
from firstlight.layers.window import Pool2D, Window, twin_padding
from firstlight.types import Array
from firstlight.working import Index, Line, Operand, Product, Working, places


@LAYERS.register
class MaxPool2D(Pool2D):
    """y[c,i,j] = max[u,v] x[c, i·s+u, j·s+v], the largest value in a window;  dx[c, i·s+p, j·s+q] += dy[c,i,j]

    where p and q are the u and the v of the (first) largest: dy goes to its place, and nothing to the others.
    """

    examples: ClassVar[tuple[Example, ...]]

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        kernels, size = run.kernels, (x.shape[1], x.shape[2])
        window, stride = self._window
        padding = self._padding(size)
        y, where = kernels.max_pool(x, window, stride, padding)

        def backward(dy: Array) -> tuple[Array | None, Tree]:
            return kernels.max_pool_dx(dy, where, window, stride, padding, size), {}

        return y, backward

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.max_pool(x, *self._window, self._padding((x.shape[1], x.shape[2])))

    def working(self, step: LayerStep, of: str, index: Index) -> Working:
        """The window with its winner; backward, the dy of every window that this pixel has won."""
        x, dy = step.x, step.dy
        window = Window.over((x.shape[1], x.shape[2]), *self._window, self.padding)
        at: Any = index
        if of == "y":
            c, i, j, n = at
            _, _, h, w = window.seen_by(i, j)
            seen = Operand.of("x", x, places(c, h, w, n))
            first = int(np.argmax(seen.values))
            largest = float(seen.values[first])
            line = Line("y", "y[c,i,j] = max x[c,h,w]", largest, (Product((seen,)),), "largest", first)
            return Working.made(of, index, [line], step.y[index])
        c, h, w, n = at
        won = []
        for i, j in zip(*window.sent_to(h, w)[2:], strict=True):
            _, _, rows, columns = window.seen_by(i, j)
            first = int(np.argmax(x[c, rows, columns, n]))
            if (rows[first], columns[first]) == (h, w):
                won.append((c, i, j, n))
        terms = [Operand.of("dy", dy, np.array(won, np.int64))]
        return Working.made(of, index, [Line.sum("dx", "dx[c,h,w] = Σ dy[c,i,j]", terms)], step.dx[index])

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        window, stride = self._window
        x, even = twin_padding(torch, x, self._padding((x.shape[2], x.shape[3])), -math.inf, most=window)
        return torch.nn.functional.max_pool2d(x, window, stride, even)


MaxPool2D.examples = (
    Example(MaxPool2D(), (2, 4, 6), smooth=False),
    Example(MaxPool2D(2), (3, 5, 5), smooth=False),
    Example(MaxPool2D(3, stride=2), (2, 7, 8), smooth=False),
    Example(MaxPool2D(3, stride=2, padding="same"), (2, 6, 5), smooth=False),
    Example(MaxPool2D((2, 3), stride=(3, 1), padding=(0, 1)), (1, 6, 4), smooth=False),
    Example(MaxPool2D(1, stride=2, name="every_second"), (2, 5, 4), smooth=False),
)
