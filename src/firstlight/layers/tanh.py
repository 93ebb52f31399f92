"""The hyperbolic tangent.

Derivation

    y = tanh x = sinh x / cosh x
    y′ = (cosh x · cosh x − sinh x · sinh x) / (cosh x)²   the rule for quotients; sinh′ = cosh and cosh′ = sinh
      = 1 − (sinh x / cosh x)²
      = 1 − y²
    dx = dy y′ = dy (1 − y²)              the chain rule
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Activation, Backward, Example, Pass, Tree, TwinPass
from firstlight.types import Array


@LAYERS.register
class Tanh(Activation):
    """y = tanh x;  dx = dy (1 − y²)"""

    examples: ClassVar[tuple[Example, ...]]
    flat_at_both_ends = True

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        y = np.tanh(x)
        return y, lambda dy: (dy * (1 - y * y), {})

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.activation(x, "tanh")

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        return torch.tanh(x)


Tanh.examples = (Example(Tanh(), (7,)), Example(Tanh(name="act"), (2, 3, 4)))
