"""A fall by a factor."""

from __future__ import annotations

from firstlight.schedules.base import SCHEDULES, Factor, Schedule
from firstlight.types import Array


@SCHEDULES.register
class Exponential(Schedule):
    """lr · factorᵗ after t epochs, falling with every step.

    factor  the factor per epoch
    """

    factor: Factor = 0.95

    def curve(self, epochs: Array, progress: Array) -> Array:
        return self.factor**epochs
