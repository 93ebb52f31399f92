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
from firstlight.losses.probabilities import estimates
from firstlight.losses.targets import columns, twin_targets
from firstlight.types import Array


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

    def record_probabilities(self, graph: ClassGraph, y: Value) -> Value:
        return graph.estimates(y)
