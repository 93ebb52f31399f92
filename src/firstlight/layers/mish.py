"""Mish (Misra 2019).

Derivation

    σ(x) = 1 / (1 + e⁻ˣ)
    r(x) = log(1 + eˣ)                    the softplus
    r′(x) = eˣ / (1 + eˣ) = σ(x)          log′ z = 1 / z, and the chain rule
    t = tanh r(x)
    t′ = (1 − t²) r′(x)                   as of Tanh, and the chain rule
      = (1 − t²) σ(x)
    y = x t
    y′ = t + x t′                         the rule for products
      = t + x σ(x) (1 − t²)
    dx = dy y′ = dy (t + x σ(x) (1 − t²))   the chain rule
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Activation, Backward, Example, Pass, Tree, TwinPass
from firstlight.types import Array


@LAYERS.register
class Mish(Activation):
    """y = x t with t = tanh(log(1 + eˣ));  dx = dy (t + x σ(x) (1 − t²)), where σ(x) = 1 / (1 + e⁻ˣ)"""

    examples: ClassVar[tuple[Example, ...]]

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        t = np.tanh(np.logaddexp(0, x))

        def backward(dy: Array) -> tuple[Array | None, Tree]:
            with np.errstate(over="ignore"):  # e⁻ˣ = ∞ gives σ = 0, which is right
                s = 1 / (1 + np.exp(-x))
            return dy * (t + x * s * (1 - t * t)), {}

        return x * t, backward

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.activation(x, "mish")

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        return torch.nn.functional.mish(x)


Mish.examples = (Example(Mish(), (7,)), Example(Mish(name="act"), (2, 3, 4)))
