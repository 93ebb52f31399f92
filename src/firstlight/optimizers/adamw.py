"""AdamW: Adam with a decay of the weights beside the gradient.

Derivation

A penalty λ/2 Σ θ² adds λ θ to the gradient. In Adam it would go through m̂ and be divided by √v̂: weights with large
gradients would hardly decay. Beside Adam's step, each weight decays by the same share:

    θ ← θ − lr λ θ − lr m̂ / (√v̂ + ε)
    θ ← (1 − lr λ) θ − lr m̂ / (√v̂ + ε)   the same
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from annotated_types import Ge

from firstlight.optimizers.adam import Adam
from firstlight.optimizers.base import OPTIMIZERS
from firstlight.working import Line, Operand


@OPTIMIZERS.register
class AdamW(Adam):
    """θ ← (1 − lr λ) θ − lr m̂ / (√v̂ + ε): Adam with weight decay decoupled from the gradient

    (Loshchilov & Hutter 2017). As in PyTorch, all trained weights decay, biases too.

    weight_decay  λ
    """

    weight_decay: Annotated[float, Ge(0)] = 0.01

    def scalars(self, lr: float, t: int) -> Mapping[str, float]:
        return {**super().scalars(lr, t), "kept": 1 - lr * self.weight_decay}

    def formula(self, theta: Any, g: Any, m: Any, v: Any, rate: float, epsilon: float, kept: float = 1.0) -> Any:
        return super().formula(kept * theta, g, m, v, rate, epsilon)

    def _moved(self, theta: Operand, step: Line, lr: float) -> Line:
        decay, rate = Operand.number("λ", self.weight_decay), Operand.number("lr", lr)
        end = (1 - lr * self.weight_decay) * theta.values[0] - step.value
        return Line.expression("θ", "θ ← (1 − lr λ) θ − step", end, rate, decay, theta, step.operand)

    def twin(self, torch: Any, groups: Sequence[Mapping[str, Any]], fused: bool) -> Any:
        betas, decay = (self.beta1, self.beta2), self.weight_decay
        return torch.optim.AdamW(groups, self.lr, betas, self.epsilon, weight_decay=decay, fused=fused)
