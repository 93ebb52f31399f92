"""RMSprop: the gradient over the root of its mean square.

Derivation

    v ← ρ v + (1 − ρ) g²
    vₜ = (1 − ρ) Σᵢ₌₁ᵗ ρ^(t − i) gᵢ²      a mean of the squares over the last 1 / (1 − ρ) steps, by their age
    θ ← θ − lr g / (√v + ε)               about lr where gradients keep their size, however large that is
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Lt

from firstlight.optimizers.base import OPTIMIZERS, Optimizer, running_mean


@OPTIMIZERS.register
class RMSprop(Optimizer):
    """v ← ρ v + (1 − ρ) g²;  θ ← θ − lr g / (√v + ε)   (Hinton 2012)

    ρ is 0.99 as in PyTorch, whose formula this is; Keras and the lecture take 0.9.

    rho      ρ: the decay rate of the mean squared gradient
    epsilon  ε, for numerical stability
    """

    lr: Annotated[float, Gt(0)] = 1e-3
    rho: Annotated[float, Ge(0), Lt(1)] = 0.99
    epsilon: Annotated[float, Gt(0)] = 1e-8

    @property
    def moments(self) -> Mapping[str, str]:
        return {"v": "square_avg"}

    def formula(self, theta: Any, g: Any, v: Any, lr: float) -> Any:
        v = running_mean(v, self.rho, (1 - self.rho) * g * g)
        return theta - lr * (g / (np.sqrt(v) + self.epsilon)), v

    def twin(self, torch: Any, groups: Sequence[Mapping[str, Any]], fused: bool) -> Any:
        return torch.optim.RMSprop(groups, self.lr, self.rho, self.epsilon, foreach=fused)  # it has no fused one
