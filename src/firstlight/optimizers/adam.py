"""Adam: the mean gradient, over the root of its mean square."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Lt

from firstlight.optimizers.base import OPTIMIZERS, Optimizer, running_mean


@OPTIMIZERS.register
class Adam(Optimizer):
    """m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²;  θ ← θ − lr m̂ / (√v̂ + ε)   (Kingma & Ba 2014)

    with m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ), which make up for the start at zero.

    beta1    β₁: what is kept of the mean gradient
    beta2    β₂: what is kept of its mean square
    epsilon  ε, against a division by nothing
    """

    lr: Annotated[float, Gt(0)] = 1e-3
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.999
    epsilon: Annotated[float, Gt(0)] = 1e-8

    @property
    def moments(self) -> Mapping[str, str]:
        return {"m": "exp_avg", "v": "exp_avg_sq"}

    def scalars(self, lr: float, t: int) -> Mapping[str, float]:
        """Both corrections, made once in lr and ε (Kingma & Ba 2014, at the end of section 2)."""
        correction = math.sqrt(1 - self.beta2**t)
        return {"rate": lr * correction / (1 - self.beta1**t), "epsilon": self.epsilon * correction}

    def formula(self, theta: Any, g: Any, m: Any, v: Any, rate: float, epsilon: float) -> Any:
        m = running_mean(m, self.beta1, (1 - self.beta1) * g)
        v = running_mean(v, self.beta2, (1 - self.beta2) * g * g)
        return theta - rate * (m / (np.sqrt(v) + epsilon)), m, v

    def twin(self, torch: Any, groups: Sequence[Mapping[str, Any]], fused: bool) -> Any:
        return torch.optim.Adam(groups, self.lr, (self.beta1, self.beta2), self.epsilon, fused=fused)
