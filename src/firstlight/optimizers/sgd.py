"""Stochastic gradient descent, with momentum.

Derivation

    L(θ + d) ≈ L(θ) + gᵀ d                for a small step d: of all steps of one length, that against the
                                          gradient g lowers the loss the most
    θ ← θ − lr g                          without momentum
    v ← μ v + g                           with it: vₜ is what a ball has gathered that rolls downhill
    vₜ = Σᵢ₌₁ᵗ μ^(t − i) gᵢ               so the gradients of the last 1 / (1 − μ) steps count, as long as they agree
    θ ← θ − lr v
    θ ← θ − lr (g + μ v)                  Nesterov's: the v of the next step, if its gradient is this one again
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from annotated_types import Ge, Gt, Lt

from firstlight.errors import ExperimentError
from firstlight.optimizers.base import OPTIMIZERS, Optimizer, running_mean


@OPTIMIZERS.register
class SGD(Optimizer):
    """v ← μ v + g;  θ ← θ − lr v, or θ ← θ − lr (g + μ v) with Nesterov momentum (Sutskever et al. 2013).

    momentum  μ: the decay rate of the velocity
    nesterov  whether to use Nesterov momentum
    """

    lr: Annotated[float, Gt(0)] = 0.01
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and self.momentum == 0:
            raise ExperimentError(
                f"optimizer.nesterov may be true only with momentum; received {self.nesterov!r} with momentum "
                f"{self.momentum}.",
                key="optimizer.nesterov",
            )

    @property
    def moments(self) -> Mapping[str, str]:
        return {"v": "momentum_buffer"} if self.momentum else {}

    def formula(self, theta: Any, g: Any, lr: float, v: Any = None) -> Any:
        if v is None:
            return theta - lr * g
        v = running_mean(v, self.momentum, g)
        return theta - lr * (g + self.momentum * v if self.nesterov else v), v

    def twin(self, torch: Any, groups: Sequence[Mapping[str, Any]], fused: bool) -> Any:
        return torch.optim.SGD(groups, self.lr, self.momentum, nesterov=self.nesterov, fused=fused)

    def twin_state(self, torch: Any, t: int) -> dict[str, Any]:
        return {}
