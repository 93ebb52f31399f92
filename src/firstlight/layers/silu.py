"""The sigmoid linear unit, or swish (Elfwing et al. 2017; Ramachandran et al. 2017).

Derivation

    σ(x) = 1 / (1 + e⁻ˣ)
    σ′(x) = σ(x) (1 − σ(x))               as of Sigmoid
    y = x σ(x)
    y′ = σ(x) + x σ′(x)                   the rule for products
      = σ(x) + x σ(x) (1 − σ(x))
      = σ(x) (1 + x (1 − σ(x)))
    dx = dy y′ = dy σ(x) (1 + x (1 − σ(x)))   the chain rule
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Activation, Backward, Example, Pass, Tree, TwinPass
from firstlight.types import Array


@LAYERS.register
class SiLU(Activation):
    """y = x σ(x);  dx = dy σ(x) (1 + x (1 − σ(x))), where σ(x) = 1 / (1 + e⁻ˣ)"""

    examples: ClassVar[tuple[Example, ...]]

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        with np.errstate(over="ignore"):  # e⁻ˣ = ∞ gives σ = 0, which is right
            s = 1 / (1 + np.exp(-x))

        def backward(dy: Array) -> tuple[Array | None, Tree]:
            return dy * (s * (1 + x * (1 - s))), {}

        return x * s, backward

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.activation(x, "silu")

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        return torch.nn.functional.silu(x)


SiLU.examples = (Example(SiLU(), (7,)), Example(SiLU(name="act"), (2, 3, 4)))
