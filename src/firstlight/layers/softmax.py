"""Probabilities from logits."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Activation, Backward, Example, Pass, Tree, TwinPass
from firstlight.types import Array


@LAYERS.register
class Softmax(Activation):
    """yₖ = exp xₖ / Σⱼ exp xⱼ over the first axis (features or channels);  dx = y (dy − Σⱼ dyⱼ yⱼ)"""

    examples: ClassVar[tuple[Example, ...]]

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        y = x - x.max(axis=0)  # the largest exponential is 1: nothing overflows
        np.exp(y, out=y)
        y /= y.sum(axis=0)
        return y, lambda dy: (y * (dy - (dy * y).sum(axis=0)), {})

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.softmax(x)

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        return torch.softmax(x, dim=1)


Softmax.examples = (Example(Softmax(), (5,)), Example(Softmax(name="probabilities"), (3, 2, 4)))
