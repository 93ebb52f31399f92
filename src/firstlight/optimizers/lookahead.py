"""Lookahead, round another optimizer.

Derivation

    φ ← φ + α (θ − φ)
    φ ← (1 − α) φ + α θ                   the same: a mean of where the inner optimizer was after every k steps
    θ ← φ

Where the inner optimizer goes to and fro across a valley, the mean lies in its middle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le

from firstlight.kernels import Kernels
from firstlight.optimizers.base import Part, State
from firstlight.optimizers.weight_update import WeightUpdate
from firstlight.optimizers.wrapped import Wrapped
from firstlight.types import Array
from firstlight.working import Line, Operand, Working


@dataclass(frozen=True)
class Lookahead(Wrapped):
    """Every k steps, slow weights follow those of the inner optimizer, which continues from there (Zhang et al. 2019).

    φ ← φ + α (θ − φ);  θ ← φ. In between, evaluation sees θ.

    steps  k
    alpha  α: how much of the way the slow weights follow
    """

    steps: Annotated[int, Ge(1)] = 5
    alpha: Annotated[float, Gt(0), Le(1)] = 0.5

    @property
    def moments(self) -> Mapping[str, str]:
        return {**self.inner.moments, "slow": "slow"}

    def update(self, kernels: Kernels, part: Part, theta: Array, gradients: Array, state: State, lr: float) -> None:
        t, fast, slow = int(state["step"][0]), theta[part.where], state["slow"][part.where]
        if t == 1:
            slow[:] = fast
        self.inner.update(kernels, part, theta, gradients, state, lr)
        if t % self.steps == 0:
            slow += self.alpha * (fast - slow)
            fast[:] = slow

    def working(self, update: WeightUpdate) -> Working:
        """The inner optimizer's step, and every k steps the slow weight's."""
        inner = self.inner.working(update)
        if update.t % self.steps:
            return inner
        fast, alpha = inner.lines[-1], Operand.number("α", self.alpha)
        before = Operand.number("φ", update.weight if update.t == 1 else update.moment("slow"))
        end = before.values[0] + self.alpha * (fast.value - before.values[0])
        slow = Line.expression("φ", "φ ← φ + α (θ − φ)", end, before, alpha, fast.operand)
        return update.working([*inner.lines, slow, Line.expression("θ", "θ ← φ", end, slow.operand)])

    def twin_step(
        self, parameters: Sequence[Any], step: Callable[[], None], memory: dict[str, list[Any]], t: int
    ) -> None:
        weights = [theta.detach() for theta in parameters]
        if "slow" not in memory:
            memory["slow"] = [theta.clone() for theta in weights]
        self.inner.twin_step(parameters, step, memory, t)
        if t % self.steps == 0:
            for theta, slow in zip(weights, memory["slow"], strict=True):
                theta.copy_(slow.lerp_(theta, self.alpha))
