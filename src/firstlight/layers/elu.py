"""The exponential linear unit (Clevert et al. 2015).

Derivation

    y = x where x > 0, else α (eˣ − 1)
    y′ = 1 where x > 0, else α eˣ
      = 1 where x > 0, else y + α         below zero α eˣ = α (eˣ − 1) + α, so that y is all that need be kept
    dx = dy y′ = dy where x > 0, else dy (y + α)   the chain rule
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Activation, Backward, Example, Pass, Tree, TwinPass
from firstlight.types import Array


@LAYERS.register
class ELU(Activation):
    """y = x where x > 0, else α (eˣ − 1);  dx = dy where x > 0, else dy (y + α)

    alpha  α: y tends to −α far below zero
    """

    alpha: Annotated[float, Ge(0)] = 1.0

    examples: ClassVar[tuple[Example, ...]]

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        y = np.minimum(x, 0)
        np.expm1(y, out=y)
        y *= self.alpha
        y += np.maximum(x, 0)

        def backward(dy: Array) -> tuple[Array | None, Tree]:
            # Masks multiply: a choice element by element (np.where) is several times slower on mixed signs.
            rising = dy * (y > 0)
            return rising + (dy - rising) * (y + self.alpha), {}

        return y, backward

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.activation(x, "elu", self.alpha)

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        return torch.nn.functional.elu(x, self.alpha)


ELU.examples = (Example(ELU(), (7,)), Example(ELU(0.5, name="act"), (2, 3, 4), smooth=False))
