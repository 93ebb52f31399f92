"""The logistic function.

Derivation

    y = 1 / (1 + e⁻ˣ)
    y′ = e⁻ˣ / (1 + e⁻ˣ)²                 the rule for 1 / z, whose derivative is −z′ / z²
      = 1 / (1 + e⁻ˣ) · e⁻ˣ / (1 + e⁻ˣ)
      = y (1 − y)                         as e⁻ˣ / (1 + e⁻ˣ) = 1 − 1 / (1 + e⁻ˣ)
    dx = dy y′ = dy y (1 − y)             the chain rule

y (1 − y) is at most 1/4, at x = 0: each sigmoid on the way back makes a gradient four times smaller, or more.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Activation, Backward, Example, Pass, Tree, TwinPass
from firstlight.types import Array


@LAYERS.register
class Sigmoid(Activation):
    """y = 1 / (1 + e⁻ˣ);  dx = dy y (1 − y)"""

    examples: ClassVar[tuple[Example, ...]]
    flat_at_both_ends = True

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        y = np.negative(x)
        with np.errstate(over="ignore"):  # e⁻ˣ = ∞ gives y = 0, which is right
            np.exp(y, out=y)
        y += 1
        np.reciprocal(y, out=y)
        return y, lambda dy: (dy * y * (1 - y), {})

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.activation(x, "sigmoid")

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        return torch.sigmoid(x)


Sigmoid.examples = (Example(Sigmoid(), (7,)), Example(Sigmoid(name="gate"), (2, 3, 4)))
