"""Binary cross-entropy of the sigmoid.

Derivation

    σ(y) = 1 / (1 + e⁻ʸ)
    σ′(y) = σ(y) (1 − σ(y))               as of Sigmoid
    L = −Σₖ [tₖ log σ(yₖ) + (1 − tₖ) log(1 − σ(yₖ))] / K
    ∂L/∂yⱼ = −{tⱼ σ′(yⱼ) / σ(yⱼ) − (1 − tⱼ) σ′(yⱼ) / (1 − σ(yⱼ))} / K   log′ z = 1 / z; yⱼ is in one term of the sum
      = −{tⱼ (1 − σ(yⱼ)) − (1 − tⱼ) σ(yⱼ)} / K   with σ′
      = (σ(yⱼ) − tⱼ) / K
    dyⱼ = 1/N · ∂L/∂yⱼ = (σ(yⱼ) − tⱼ) / KN   the mean over the N images of a batch
    dy = (σ(y) − t) / KN                  all of them at once
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from firstlight.kernels.graph import Value
from firstlight.layers import Layer, Sigmoid
from firstlight.losses.base import LOSSES, ClassGraph, Loss
from firstlight.losses.probabilities import rows, softmax
from firstlight.losses.targets import columns, twin_targets
from firstlight.types import Array, Shape


@LOSSES.register
class BinaryCrossEntropy(Loss):
    """L = −Σₖ [tₖ log σ(yₖ) + (1 − tₖ) log(1 − σ(yₖ))] / K;  dy = (σ(y) − t) / KN, with σ(y) = 1 / (1 + e⁻ʸ)

    With one output, y is the logit of class 1 of two; with K, each is a yes or no of its own.
    """

    fuses: ClassVar[type[Layer] | None] = Sigmoid

    def values(self, y: Array, targets: Array) -> Array:
        # −log σ(y) = log(1 + e⁻ʸ), and −log(1 − σ(y)) is the same and y more: together log(1 + e⁻ʸ) + (1 − t) y,
        # written so that no exponent is positive.
        t = columns(targets, y)
        return (np.maximum(y, 0) - t * y + np.log1p(np.exp(-np.abs(y)))).mean(axis=0)

    def gradient(self, y: Array, targets: Array) -> Array:
        return (np.exp(_log_sigmoid(y)) - columns(targets, y)) / y.size

    def twin(self, torch: Any, y: Any, targets: Any) -> Any:
        t = twin_targets(torch, targets, y)
        return torch.nn.functional.binary_cross_entropy_with_logits(y, t, reduction="none").mean(dim=1)

    def probabilities(self, y: Array) -> Array:
        if len(y) == 1:
            return rows(np.exp(_log_sigmoid(np.concatenate((-y, y)))))
        # Given that exactly one of the classes is true: P(k) ∝ σₖ Πⱼ≠ₖ (1 − σⱼ) ∝ σₖ / (1 − σₖ) = exp yₖ.
        return rows(softmax(y))

    def record_probabilities(self, graph: ClassGraph, y: Value) -> Value:
        # σ(−y) and σ(y) are the softmax of 0 and y.
        return graph.softmax(graph.concat([y], before=1) if y.shape == (1,) else y)

    def predicted(self, y: Array) -> Array:
        return 1 * (y[0] > 0) if len(y) == 1 else super().predicted(y)

    def units(self, output_shape: Shape, classes: int, labels: str) -> int:
        return 1 if classes == 2 and labels == "integer" and output_shape == (1,) else classes


def _log_sigmoid(y: Array) -> Array:
    return np.minimum(y, 0) - np.log1p(np.exp(-np.abs(y)))
