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
from firstlight.losses.probabilities import estimates
from firstlight.losses.targets import columns, twin_targets
from firstlight.types import Array


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

    def record_probabilities(self, graph: ClassGraph, y: Value) -> Value:
        return graph.estimates(y)
