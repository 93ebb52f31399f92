"""The average of the weights over the steps of a training, which is often better than the weights of any step.

Derivation

    θ̄ ← d θ̄ + (1 − d) θ
    θ̄ ← θ̄ + (1 − d) (θ − θ̄)             the same with one product less, as the code has it

The steps of the end go to and fro about a minimum, by noise that a smaller learning rate would lessen; so does a mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from firstlight.kernels import Kernels
from firstlight.kernels.formula import Formula
from firstlight.types import Array


@dataclass(frozen=True)
class MovingAverage:
    """θ̄ ← d θ̄ + (1 − d) θ after each step, with d = min(decay, (1 + t) / (10 + t)) in step t   (Polyak 1992)

    The first steps, whose weights are far from the last, so soon weigh nothing (TensorFlow's `num_updates`). All
    numbers of the net are averaged, the running statistics of batch norm too: these are means over past batches
    themselves, taken at the weights of just those steps, and no further pass over the images is needed.

    decay  of the average so far, what is kept in a step
    """

    decay: float

    def news(self, t: int) -> float:
        """1 − d: what the weights after step t (from 1) count."""
        return 1 - min(self.decay, (1 + t) / (10 + t))

    def update(self, kernels: Kernels, average: Array, weights: Array, t: int) -> None:
        """Take the weights after step t into the average, in place."""
        kernels.step(self._formula, slice(0, len(average)), average, weights[None], (), (self.news(t),))

    @cached_property
    def _formula(self) -> Formula:
        return Formula.record(lambda theta, g, news: theta + news * (g - theta), (), ("news",))
