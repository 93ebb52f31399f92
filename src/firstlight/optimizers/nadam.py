"""NAdam: Adam with Nesterov's look ahead.

Derivation

    m ← β₁ m + (1 − β₁) g                 as of Adam, and so v and v̂
    m̂ = μₜ₊₁ m / (1 − Πᵢ₌₁ᵗ⁺¹ μᵢ) + (1 − μₜ) g / (1 − Πᵢ₌₁ᵗ μᵢ)   Nesterov's look ahead: the mean as the next step
                                          counts it, and this gradient, each corrected for the start at zero
    θ ← θ − lr m̂ / (√v̂ + ε)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt

from firstlight.optimizers.adam import Adam
from firstlight.optimizers.base import OPTIMIZERS, Optimizer, running_mean
from firstlight.optimizers.weight_update import WeightUpdate
from firstlight.working import Working


@OPTIMIZERS.register
class NAdam(Adam):
    """θ ← θ − lr m̂ / (√v̂ + ε) with m̂ = μₜ₊₁ m / (1 − Πᵢ₌₁ᵗ⁺¹ μᵢ) + (1 − μₜ) g / (1 − Πᵢ₌₁ᵗ μᵢ)   (Dozat 2016)

    with Adam's m and v, and a momentum that rises: μₜ = β₁ (1 − 0.96^(t ψ) / 2).

    momentum_decay  ψ: the decay rate of the momentum schedule
    """

    lr: Annotated[float, Gt(0)] = 2e-3
    momentum_decay: Annotated[float, Ge(0)] = 4e-3

    def scalars(self, lr: float, t: int) -> Mapping[str, float]:
        momentum, following = self._momentum(t), self._momentum(t + 1)
        product = self._product(t)
        return {
            "by_gradient": lr * (1 - momentum) / (1 - product),
            "by_mean": lr * following / (1 - product * following),
            "correction": math.sqrt(1 - self.beta2**t),
        }

    def formula(  # type: ignore[override]
        self, theta: Any, g: Any, m: Any, v: Any, by_gradient: float, by_mean: float, correction: float
    ) -> Any:
        m = running_mean(m, self.beta1, (1 - self.beta1) * g)
        v = running_mean(v, self.beta2, (1 - self.beta2) * g * g)
        return theta - (by_gradient * g + by_mean * m) / (np.sqrt(v) / correction + self.epsilon), m, v

    def working(self, update: WeightUpdate) -> Working:
        return Optimizer.working(self, update)  # its own formula, not Adam's

    def twin(self, torch: Any, groups: Sequence[Mapping[str, Any]], fused: bool) -> Any:
        betas = (self.beta1, self.beta2)
        return torch.optim.NAdam(groups, self.lr, betas, self.epsilon, momentum_decay=self.momentum_decay)

    def twin_state(self, torch: Any, t: int) -> dict[str, Any]:
        product = np.float32(1)  # as PyTorch keeps it, so that a run continues in the same bits
        for step in range(1, t + 1):
            product *= np.float32(self._momentum(step))
            if product == 0:
                break
        return {**super().twin_state(torch, t), "mu_product": torch.tensor(float(product))}

    def _momentum(self, t: Any) -> Any:
        return self.beta1 * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))

    def _product(self, t: int) -> float:
        """Of the momenta of steps 1 to t; as β₁ᵗ is larger, it is nothing beside one after some hundred."""
        if self.beta1**t < 1e-17:
            return 0.0
        return float(np.prod(self._momentum(np.arange(1, t + 1))))
