"""The rectifier.

Derivation

    y = max(x, 0) = x where x > 0, else 0
    y′ = 1 where x > 0, else 0            the slopes of x and of 0; at x = 0, where there is none, 0 is taken
    dx = dy y′ = dy where y > 0, else 0   the chain rule; y > 0 just where x > 0
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Activation, Backward, Example, Pass, Tree, TwinPass
from firstlight.types import Array


@LAYERS.register
class ReLU(Activation):
    """y = max(x, 0);  dx = dy where y > 0, else 0"""

    examples: ClassVar[tuple[Example, ...]]

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        y = np.maximum(x, 0)
        return y, lambda dy: (dy * (y > 0), {})

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.activation(x, "relu")

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        return torch.relu(x)


ReLU.examples = (Example(ReLU(), (7,), smooth=False), Example(ReLU(name="act"), (2, 3, 4), smooth=False))
