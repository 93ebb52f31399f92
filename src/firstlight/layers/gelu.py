"""The Gaussian error linear unit (Hendrycks & Gimpel 2016).

Derivation

    φ(x) = Φ′(x) = e^(−x²/2) / √(2π)      the density is the derivative of the distribution function
    y = x Φ(x)
    y′ = Φ(x) + x Φ′(x)                   the rule for products
      = Φ(x) + x φ(x)
    dx = dy y′ = dy (Φ(x) + x φ(x))       the chain rule
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Activation, Backward, Example, Pass, Tree, TwinPass
from firstlight.types import Array


@LAYERS.register
class GELU(Activation):
    """y = x Φ(x);  dx = dy (Φ(x) + x φ(x)): Φ is the normal distribution function, and φ its density

    φ(x) = e^(−x²/2) / √(2π).
    """

    examples: ClassVar[tuple[Example, ...]]

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        from scipy.special import ndtr  # SciPy is slow to import and only this layer needs it.

        cdf = ndtr(x)

        def backward(dy: Array) -> tuple[Array | None, Tree]:
            density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
            return dy * (cdf + x * density), {}

        return x * cdf, backward

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.activation(x, "gelu")

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        return torch.nn.functional.gelu(x)


GELU.examples = (Example(GELU(), (7,)), Example(GELU(name="act"), (2, 3, 4)))
