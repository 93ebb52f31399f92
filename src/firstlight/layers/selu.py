"""The self-normalizing linear unit.

Derivation

    y = λ x where x > 0, else λ α (eˣ − 1)
    y′ = λ where x > 0, else λ α eˣ
      = λ where x > 0, else y + λ α       as of ELU
    dx = dy y′ = λ dy where x > 0, else dy (y + λ α)   the chain rule

λ and α are chosen so that y has mean 0 and variance 1 where x has, and is normal. These are integrals over the density
of x, in which Φ is the normal distribution function:

    λ / √(2π) + λ α {√e Φ(−1) − 1/2} = 0                     the mean of y: of its part above zero, and of that below
    λ² / 2 + λ² α² {e² Φ(−2) − 2 √e Φ(−1) + 1/2} = 1         the mean of y²
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Activation, Backward, Example, Pass, Tree, TwinPass
from firstlight.types import Array

# Klambauer et al. 2017: with these, mean 0 and variance 1 are a fixed point of the layers.
ALPHA = 1.6732632423543772848170429916717
SCALE = 1.0507009873554804934193349852946


@LAYERS.register
class SELU(Activation):
    """y = λ x where x > 0, else λ α (eˣ − 1);  dx = λ dy where x > 0, else dy (y + λ α)

    Its λ and α are given, so that there is nothing to choose: mean 0 and variance 1 stay from layer to layer.
    """

    examples: ClassVar[tuple[Example, ...]]

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        y = np.minimum(x, 0)
        np.expm1(y, out=y)
        y *= ALPHA
        y += np.maximum(x, 0)
        y *= SCALE

        def backward(dy: Array) -> tuple[Array | None, Tree]:
            rising = dy * (y > 0)
            return SCALE * rising + (dy - rising) * (y + SCALE * ALPHA), {}

        return y, backward

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.activation(x, "selu")

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        return torch.selu(x)


SELU.examples = (Example(SELU(), (7,), smooth=False), Example(SELU(name="act"), (2, 3, 4), smooth=False))
