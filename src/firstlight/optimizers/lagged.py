"""The lagged update, round another optimizer.

Derivation

    θₜ ← (1 − α) θₜ + α θₜ₋₁
    θₜ ← θₜ₋₁ + (1 − α) (θₜ − θₜ₋₁)       the same: each step keeps 1 − α of its length
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Le

from firstlight.kernels import Kernels
from firstlight.optimizers.base import Part, State
from firstlight.optimizers.weight_update import WeightUpdate
from firstlight.optimizers.wrapped import Wrapped
from firstlight.types import Array
from firstlight.working import Line, Operand, Working


@dataclass(frozen=True)
class Lagged(Wrapped):
    """θₜ ← (1 − α) θₜ + α θₜ₋₁ after each step: its result mixed with the weights it started from.

    Evaluation so sees the weights from which the next step starts. An α of 0 is the inner optimizer; with one of 1
    nothing is learnt.

    alpha  α
    """

    alpha: Annotated[float, Ge(0), Le(1)]

    def update(self, kernels: Kernels, part: Part, theta: Array, gradients: Array, state: State, lr: float) -> None:
        if self.alpha == 0:
            self.inner.update(kernels, part, theta, gradients, state, lr)
            return
        before = theta[part.where].copy()
        self.inner.update(kernels, part, theta, gradients, state, lr)
        before *= self.alpha
        theta[part.where] *= 1 - self.alpha
        theta[part.where] += before

    def working(self, update: WeightUpdate) -> Working:
        """The inner optimizer's step, and then the mix."""
        lines = self.inner.working(update).lines
        made = Line(**{**vars(lines[-1]), "symbol": "θ′"})
        before, alpha = Operand.number("θ", update.weight), Operand.number("α", self.alpha)
        end = (1 - self.alpha) * made.value + self.alpha * update.weight
        mixed = Line.expression("θ", "θ ← (1 − α) θ′ + α θ", end, alpha, made.operand, before)
        return update.working([*lines[:-1], made, mixed])

    def twin_step(
        self, parameters: Sequence[Any], step: Callable[[], None], memory: dict[str, list[Any]], t: int
    ) -> None:
        before = [theta.detach().clone() for theta in parameters] if self.alpha else []
        self.inner.twin_step(parameters, step, memory, t)
        if self.alpha == 0:
            return
        for theta, start in zip(parameters, before, strict=True):
            theta.detach().lerp_(start, self.alpha)
