"""Half the squared error.

Derivation

    L = Σₖ (yₖ − tₖ)² / 2
    ∂L/∂yⱼ = 2 (yⱼ − tⱼ) / 2 = yⱼ − tⱼ    yⱼ is in one term of the sum: the half is there for this
    dyⱼ = 1/N · ∂L/∂yⱼ = (yⱼ − tⱼ) / N    the mean over the N images of a batch
    dy = (y − t) / N                      all of them at once
"""

from __future__ import annotations

from typing import Any

import numpy as np

from firstlight.kernels.graph import Graph, Value
from firstlight.losses.base import LOSSES, ClassGraph, Loss
from firstlight.losses.loss_step import LossStep
from firstlight.losses.probabilities import estimates
from firstlight.losses.targets import columns, twin_targets
from firstlight.types import Array
from firstlight.working import Index, Line, Operand, Working


@LOSSES.register(name="half-mse")
class HalfSquaredError(Loss):
    """L = Σₖ (yₖ − tₖ)² / 2;  dy = (y − t) / N

    Half of Σ (y − t)² / N, which others use: the same steps as by that loss take twice its learning rate and half of
    its penalties. Of K outputs, it is K/2 times "mse".
    """

    def values(self, y: Array, targets: Array) -> Array:
        return np.square(y - columns(targets, y)).sum(axis=0) / 2

    def gradient(self, y: Array, targets: Array) -> Array:
        return (y - columns(targets, y)) / y.shape[1]

    def twin(self, torch: Any, y: Any, targets: Any) -> Any:
        return torch.nn.functional.mse_loss(y, twin_targets(torch, targets, y), reduction="none").sum(dim=1) / 2

    def record(self, graph: Graph, y: Value) -> None:
        graph.squared_error(y, 0.5)

    def probabilities(self, y: Array) -> Array:
        return estimates(y)

    def working(self, step: LossStep, of: str, index: Index) -> Working:
        """How far each output is from its target."""
        n = index[-1]
        y, t = step.column("y", n), step.column("t", n)
        apart = Operand("y − t", y.values - t.values, y.index)
        if of == "value":
            share = Operand("1/2", np.full(len(step.y), 1 / 2))
            terms = [apart, apart, share, *step.weighed(n, len(step.y))]
            line = Line.sum("L", "L = Σₖ (yₖ − tₖ)² / 2", terms)
            return Working.made(of, index, [line], step.values[n], size=line.size + float(np.square(y.values).sum()))
        k = index[0]
        dy = step.weight(n) * apart.values[k] / step.y.shape[1]
        parts = [Operand.at("y", step.y, *index), Operand.at("t", step.t, *index)]
        parts += [Operand.number("N", step.y.shape[1]), *step.weighed(n)]
        line = Line.expression("dy", "dyₖ = (yₖ − tₖ) / N", dy, *parts)
        size = (abs(y.values[k]) + abs(t.values[k])) * step.weight(n) / step.y.shape[1]
        return Working.made(of, index, [line], step.dy[index], size=size)

    def record_probabilities(self, graph: ClassGraph, y: Value) -> Value:
        return graph.estimates(y)
