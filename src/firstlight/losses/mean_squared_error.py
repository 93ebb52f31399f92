"""The mean squared error.

Derivation

    L = Σₖ (yₖ − tₖ)² / K
    ∂L/∂yⱼ = 2 (yⱼ − tⱼ) / K              yⱼ is in one term of the sum
    dyⱼ = 1/N · ∂L/∂yⱼ = 2 (yⱼ − tⱼ) / KN   the mean over the N images of a batch
    dy = 2 (y − t) / KN                   all of them at once
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


@LOSSES.register(name="mse")
class MeanSquaredError(Loss):
    """L = Σₖ (yₖ − tₖ)² / K, the mean over the outputs;  dy = 2 (y − t) / KN"""

    def values(self, y: Array, targets: Array) -> Array:
        return np.square(y - columns(targets, y)).mean(axis=0)

    def gradient(self, y: Array, targets: Array) -> Array:
        return (y - columns(targets, y)) * (2 / y.size)

    def twin(self, torch: Any, y: Any, targets: Any) -> Any:
        return torch.nn.functional.mse_loss(y, twin_targets(torch, targets, y), reduction="none").mean(dim=1)

    def record(self, graph: Graph, y: Value) -> None:
        graph.squared_error(y, 1 / y.size)

    def probabilities(self, y: Array) -> Array:
        return estimates(y)

    def working(self, step: LossStep, of: str, index: Index) -> Working:
        """How far each output is from its target."""
        n = index[-1]
        y, t = step.column("y", n), step.column("t", n)
        apart = Operand("y − t", y.values - t.values, y.index)
        if of == "value":
            share = Operand("1/K", np.full(len(step.y), 1 / len(step.y)))
            terms = [apart, apart, share, *step.weighed(n, len(step.y))]
            line = Line.sum("L", "L = Σₖ (yₖ − tₖ)² / K", terms)
            return Working.made(of, index, [line], step.values[n], size=line.size + float(np.square(y.values).sum()))
        k = index[0]
        dy = step.weight(n) * apart.values[k] / (step.y.size / 2)
        parts = [Operand.at("y", step.y, *index), Operand.at("t", step.t, *index), Operand.number("K", len(step.y))]
        parts += [Operand.number("N", step.y.shape[1]), *step.weighed(n)]
        line = Line.expression("dy", "dyₖ = 2 (yₖ − tₖ) / (K N)", dy, *parts)
        size = (abs(y.values[k]) + abs(t.values[k])) * step.weight(n) / (step.y.size / 2)
        return Working.made(of, index, [line], step.dy[index], size=size)

    def record_probabilities(self, graph: ClassGraph, y: Value) -> Value:
        return graph.estimates(y)
