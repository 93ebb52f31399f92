"""From images to vectors.

Derivation

    y[(c·H + i)·W + j] = x[c,i,j]
    ∂y[(c·H + i)·W + j]/∂x[c,i,j] = 1     each x is one y, and reaches the loss through it alone
    dx[c,i,j] = dy[(c·H + i)·W + j]       the chain rule
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Backward, Example, Layer, Pass, Tree, TwinPass
from firstlight.types import Array, Shape


@LAYERS.register
class Flatten(Layer):
    """y[(c·H + i)·W + j] = x[c,i,j];  dx[c,i,j] = dy[(c·H + i)·W + j]: one number after another, channel by channel."""

    examples: ClassVar[tuple[Example, ...]]

    def output_shape(self, input_shape: Shape) -> Shape:
        return (math.prod(input_shape),)

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        return x.reshape(-1, x.shape[-1]), lambda dy: (dy.reshape(x.shape), {})

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.reshape(x, (x.size,))

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        return x.flatten(start_dim=1)


Flatten.examples = (Example(Flatten(), (2, 3, 4)), Example(Flatten(name="features"), (5,)))
