"""Pooling by the mean.

Derivation

s is the stride; n the pixels of x in the window, fewer at a padded border.

    y[c,i,j] = Σ[u,v] x[c, i·s+u, j·s+v] / n
    ∂y[c,i,j]/∂x[c, i·s+u, j·s+v] = 1 / n   each pixel has an equal part in the mean of its window
    dx[c,p,q] = Σ[i,j] dy[c,i,j] · ∂y[c,i,j]/∂x[c,p,q]   the chain rule: windows that overlap add
      = Σ[i·s+u = p, j·s+v = q] dy[c,i,j] / n   over the i, j, u, v that fit p and q
    dx[c, i·s+u, j·s+v] += dy[c,i,j] / n   the same sum term by term
"""

from __future__ import annotations

from typing import Any, ClassVar

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Backward, Example, Pass, Tree, TwinPass
from firstlight.layers.window import Pool2D, twin_padding
from firstlight.types import Array


@LAYERS.register
class AvgPool2D(Pool2D):
    """y[c,i,j] = Σ[u,v] x[c, i·s+u, j·s+v] / n;  dx[c, i·s+u, j·s+v] += dy[c,i,j] / n: the mean of a window's n pixels.

    Padding is not counted: at the border n are the pixels that lie inside the image.
    """

    examples: ClassVar[tuple[Example, ...]]

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        kernels, size = run.kernels, (x.shape[1], x.shape[2])
        window, stride = self._window
        padding = self._padding(size)

        def backward(dy: Array) -> tuple[Array | None, Tree]:
            return kernels.avg_pool_dx(dy, window, stride, padding, size), {}

        return kernels.avg_pool(x, window, stride, padding), backward

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.avg_pool(x, *self._window, self._padding((x.shape[1], x.shape[2])))

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        window, stride = self._window
        padding = self._padding((x.shape[2], x.shape[3]))
        padded, even = twin_padding(torch, x, padding, 0.0, most=window)
        if padded is x:
            return torch.nn.functional.avg_pool2d(x, window, stride, even, count_include_pad=False)
        inside, _ = twin_padding(torch, torch.ones_like(x[:1, :1]), padding, 0.0, most=window)
        sums, counts = (torch.nn.functional.avg_pool2d(z, window, stride, divisor_override=1) for z in (padded, inside))
        return sums / counts


AvgPool2D.examples = (
    Example(AvgPool2D(), (2, 4, 6)),
    Example(AvgPool2D(2), (3, 5, 5)),
    Example(AvgPool2D(3, stride=2, padding="same"), (2, 6, 5)),
    Example(AvgPool2D((2, 3), stride=(3, 1), padding=(0, 1)), (1, 6, 4)),
    Example(AvgPool2D(1, stride=2, name="every_second"), (2, 5, 4)),
)
