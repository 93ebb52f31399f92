"""The rectifier that lets a little through.

Derivation

    y = x where x > 0, else slope · x
    y′ = 1 where x > 0, else slope        at x = 0, where there is no derivative, that of the lower part is taken
    dx = dy y′ = dy where x > 0, else slope · dy   the chain rule
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Lt

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Activation, Backward, Example, Pass, Tree, TwinPass
from firstlight.types import Array


@LAYERS.register
class LeakyReLU(Activation):
    """y = x where x > 0, else slope · x;  dx = dy where x > 0, else slope · dy

    slope  the slope below zero
    """

    slope: Annotated[float, Ge(0), Lt(1)] = 0.01

    examples: ClassVar[tuple[Example, ...]]

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        y = self.slope * x
        np.maximum(x, y, out=y)

        def backward(dy: Array) -> tuple[Array | None, Tree]:
            rising = dy * (y > 0)
            return rising + self.slope * (dy - rising), {}

        return y, backward

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.activation(x, "leaky", self.slope)

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        return torch.nn.functional.leaky_relu(x, self.slope)


LeakyReLU.examples = (
    Example(LeakyReLU(), (7,), smooth=False),
    Example(LeakyReLU(0.3, name="act"), (2, 3, 4), smooth=False),
)
