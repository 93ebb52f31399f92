"""Lion: steps of one size, by the sign of a mean gradient.

Derivation

    L(θ + d) ≈ L(θ) + gᵀ d                for a small step d: of all that move no weight by more than lr,
                                          −lr sign(g) lowers the loss the most
    θ ← (1 − lr λ) θ − lr sign(β₁ m + (1 − β₁) g)   by the mean of the gradients in the place of g, in which this one
                                          counts more than in the mean that is kept, as β₁ < β₂
    m ← β₂ m + (1 − β₂) g
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Lt

from firstlight.optimizers.base import OPTIMIZERS, Optimizer, running_mean


@OPTIMIZERS.register
class Lion(Optimizer):
    """θ ← (1 − lr λ) θ − lr sign(β₁ m + (1 − β₁) g);  m ← β₂ m + (1 − β₂) g   (Chen et al. 2023)

    As each weight moves by lr whatever its gradient, the learning rate is a third to a tenth of Adam's.

    beta1         β₁: the weight of the moving average in the direction of a step
    beta2         β₂: the decay rate of the moving average of the gradient
    weight_decay  λ, three to ten times AdamW's
    """

    lr: Annotated[float, Gt(0)] = 1e-4
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.99
    weight_decay: Annotated[float, Ge(0)] = 0.0

    @property
    def moments(self) -> Mapping[str, str]:
        return {"m": "m"}

    def formula(self, theta: Any, g: Any, m: Any, lr: float) -> Any:
        direction = np.sign(self.beta1 * m + (1 - self.beta1) * g)
        return (1 - lr * self.weight_decay) * theta - lr * direction, running_mean(m, self.beta2, (1 - self.beta2) * g)
