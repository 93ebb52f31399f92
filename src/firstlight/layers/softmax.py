"""Probabilities from logits.

Derivation

    yₖ = exp xₖ / Σⱼ exp xⱼ
    ∂yₖ/∂xⱼ = (δₖⱼ exp xₖ Σᵢ exp xᵢ − exp xₖ exp xⱼ) / (Σᵢ exp xᵢ)²   the rule for quotients; δₖⱼ is 1 where k = j,
                                          else 0
      = yₖ (δₖⱼ − yⱼ)
    dxⱼ = Σₖ dyₖ · ∂yₖ/∂xⱼ                the chain rule: each x reaches the loss through all y
      = Σₖ dyₖ yₖ (δₖⱼ − yⱼ)
      = yⱼ (dyⱼ − Σₖ dyₖ yₖ)              of the terms with δₖⱼ, that with k = j is left
    dx = y (dy − Σⱼ dyⱼ yⱼ)               all of them at once

A number taken from all x changes no y: with the largest taken from them, no exponential overflows.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Activation, Backward, Example, Pass, Tree, TwinPass
from firstlight.layers.layer_step import LayerStep
from firstlight.types import Array
from firstlight.working import Index, Line, Operand, Product, Working, places


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

    def working(self, step: LayerStep, of: str, index: Index) -> Working:
        """The sum of all exponentials below the one; backward, Σⱼ dyⱼ yⱼ first, which all of dx share."""
        (k, *rest), all_of = index, np.arange(len(step.x))
        column = places(all_of, *rest)
        if of == "y":
            lines = softmax_lines("x", "y", Operand.of("x", step.x, column), k)
            return Working.made(of, index, lines, step.y[index], size=1.0)
        dy, y = Operand.at("dy", step.dy, *index), Operand.at("y", step.y, *index)
        shared = Line.sum("s", "s = Σⱼ dyⱼ yⱼ", [Operand.of(a, b, column) for a, b in (("dy", step.dy), ("y", step.y))])
        dx = y.values[0] * (dy.values[0] - shared.value)
        lines = [shared, Line.expression("dx", "dxₖ = yₖ (dyₖ − s)", dx, y, dy, shared.operand)]
        size = abs(y.values[0]) * (abs(dy.values[0]) + shared.size)
        return Working.made(of, index, lines, step.dx[index], size=size)

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        return torch.softmax(x, dim=1)


def softmax_lines(x: str, y: str, column: Operand, k: int) -> list[Line]:
    """yₖ of the column of x, from its largest on; `x` and `y` are what the two are called."""
    largest = column.values.max()
    m = Line("m", f"m = max {x}ⱼ", float(largest), (Product((column,)),), "largest", int(column.values.argmax()))
    with np.errstate(over="ignore", invalid="ignore"):
        exps = Operand(f"exp({x}ⱼ − m)", np.exp(column.values - largest), column.index)
    s = Line.sum("s", f"s = Σⱼ exp({x}ⱼ − m)", [exps])
    assert column.index is not None
    one = Operand(column.array, column.values[k : k + 1], column.index[k : k + 1])
    parts = (one, m.operand, s.operand)
    return [m, s, Line.expression(y, f"{y}ₖ = exp({x}ₖ − m) / s", exps.values[k] / s.value, *parts)]


Softmax.examples = (Example(Softmax(), (5,)), Example(Softmax(name="probabilities"), (3, 2, 4)))
