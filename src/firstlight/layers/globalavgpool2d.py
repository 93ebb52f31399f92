"""The mean of each channel.

Derivation

    y[c] = Σᵢⱼ x[c,i,j] / HW
    ∂y[c]/∂x[c,i,j] = 1 / HW              each pixel has an equal part in the mean of its channel
    dx[c,i,j] = dy[c] · ∂y[c]/∂x[c,i,j] = dy[c] / HW   the chain rule
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Backward, Example, Layer, Pass, Tree, TwinPass
from firstlight.types import Array, Shape


@LAYERS.register
class GlobalAvgPool2D(Layer):
    """y[c] = Σᵢⱼ x[c,i,j] / HW;  dx[c,i,j] = dy[c] / HW"""

    examples: ClassVar[tuple[Example, ...]]

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 3:
            raise self.misfit(input_shape, "it takes images (C, H, W)", "Put it before Flatten, or leave it out.")
        return (input_shape[0],)

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        _, height, width, _ = x.shape

        def backward(dy: Array) -> tuple[Array | None, Tree]:
            dx = np.empty_like(x)
            dx[...] = (dy / (height * width))[:, None, None, :]
            return dx, {}

        return x.mean(axis=(1, 2)), backward

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        size = (x.shape[1], x.shape[2])
        return graph.reshape(graph.avg_pool(x, size, size, ((0, 0), (0, 0))), x.shape[:1])

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        return x.mean(dim=(2, 3))


GlobalAvgPool2D.examples = (
    Example(GlobalAvgPool2D(), (3, 4, 5)),
    Example(GlobalAvgPool2D(name="pool"), (2, 1, 1)),
)
