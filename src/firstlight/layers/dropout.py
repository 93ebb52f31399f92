"""Dropout.

Derivation

    y = m x / (1 − rate) in training
    y′ = m / (1 − rate) in training       m is drawn, and no x changes it
    dx = dy y′ = m dy / (1 − rate) in training   the chain rule: what was dropped had no part in the loss

The mean of m over its draws is 1 − rate, so that of y is x: in evaluation nothing need be scaled.

    y = x in evaluation
    dx = dy in evaluation
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Lt

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Backward, Example, Layer, Pass, Tree, TwinPass
from firstlight.types import Array


@LAYERS.register
class Dropout(Layer):
    """y = m x / (1 − rate) in training,  dx = m dy / (1 − rate) in training: m is drawn.

    It is 0 by chance `rate`, else 1, so that the mean stays.  y = x in evaluation,  dx = dy in evaluation.
    (Srivastava et al. 2014, inverted.)

    rate  the probability that a value is dropped
    """

    rate: Annotated[float, Ge(0), Lt(1)]

    examples: ClassVar[tuple[Example, ...]]

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        if not run.training or self.rate == 0:
            return x, lambda dy: (dy, {})
        # Always float32 draws, so that the mask is the same whatever the dtype of x.
        mask = run.generator().random(x.shape, dtype=np.float32) >= self.rate
        scale = 1 / (1 - self.rate)

        def drop(z: Array) -> Array:
            kept = z * mask
            kept *= scale
            return kept

        return drop(x), lambda dy: (drop(dy), {})

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.dropout(x, self.rate, path)

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        if run.uniform is None or not run.training or self.rate == 0:
            return torch.nn.functional.dropout(x, self.rate, run.training)
        return x * (run.uniform(run.path, x.shape) >= self.rate) * (1 / (1 - self.rate))


Dropout.examples = (
    Example(Dropout(0.5), (9,)),
    Example(Dropout(0.2, name="drop"), (2, 3, 4)),
    Example(Dropout(0.0), (4,)),
)
