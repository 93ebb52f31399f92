"""Adam: the mean gradient, over the root of its mean square.

Derivation

    m ← β₁ m + (1 − β₁) g
    mₜ = (1 − β₁) Σᵢ₌₁ᵗ β₁^(t − i) gᵢ     from m₀ = 0: a mean of the gradients whose weights sum to less than one
    1 − β₁ᵗ = (1 − β₁) Σᵢ₌₁ᵗ β₁^(t − i)   a geometric series: what they sum to, so that m is divided by it
    m̂ = m / (1 − β₁ᵗ)
    v ← β₂ v + (1 − β₂) g²
    v̂ = v / (1 − β₂ᵗ)                     in the same way
    θ ← θ − lr m̂ / (√v̂ + ε)              about lr where the gradient keeps its sign, and less where it does not,
                                          whatever its size

The code puts both corrections into two numbers, which are worked out once a step and not for each weight:

    m̂ / (√v̂ + ε) = √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε √(1 − β₂ᵗ))   both sides times √(1 − β₂ᵗ)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Lt

from firstlight.optimizers.base import OPTIMIZERS, Optimizer, running_mean
from firstlight.optimizers.weight_update import WeightUpdate
from firstlight.working import Line, Operand, Working


@OPTIMIZERS.register
class Adam(Optimizer):
    """m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²;  θ ← θ − lr m̂ / (√v̂ + ε)   (Kingma & Ba 2014)

    with m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ), which correct the bias of the start at zero.

    beta1    β₁: the decay rate of the first moment, the mean gradient
    beta2    β₂: the decay rate of the second moment, the mean squared gradient
    epsilon  ε, for numerical stability
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

    def working(self, update: WeightUpdate) -> Working:
        """As in the paper, algorithm 1: the corrections by themselves, where the formula makes both in lr and ε."""
        g, t = Operand.number("g", update.g), Operand.number("t", update.t)
        lines: list[Line] = []
        hats = []
        for name, letter, beta, news, power in (("m", "β₁", self.beta1, update.g, ""),
                                                ("v", "β₂", self.beta2, update.g**2, "²")):  # fmt: skip
            before, share = Operand.number(name, update.moment(name)), Operand.number(letter, beta)
            after = beta * before.values[0] + (1 - beta) * news
            mean = Line.expression(name, f"{name} ← {letter} {name} + (1 − {letter}) g{power}", after, share, before, g)
            hat = f"{name}̂" if name == "m" else "v̂"
            corrected = after / (1 - beta**update.t)
            hats.append(Line.expression(hat, f"{hat} = {name} / (1 − {letter}ᵗ)", corrected, mean.operand, share, t))
            lines += [mean, hats[-1]]
        m, v = (line.value for line in hats)
        step = update.lr * m / (math.sqrt(v) + self.epsilon)
        parts = [Operand.number("lr", update.lr), *(line.operand for line in hats), Operand.number("ε", self.epsilon)]
        lines.append(Line.expression("step", "step = lr m̂ / (√v̂ + ε)", step, *parts))
        theta = Operand.number("θ", update.weight)
        return update.working([*lines, self._moved(theta, lines[-1], update.lr)])

    def _moved(self, theta: Operand, step: Line, lr: float) -> Line:
        return Line.expression("θ", "θ ← θ − step", theta.values[0] - step.value, theta, step.operand)

    def twin(self, torch: Any, groups: Sequence[Mapping[str, Any]], fused: bool) -> Any:
        return torch.optim.Adam(groups, self.lr, (self.beta1, self.beta2), self.epsilon, fused=fused)
