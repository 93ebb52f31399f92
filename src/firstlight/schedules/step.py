"""A fall in steps."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Unit

from firstlight.schedules.base import SCHEDULES, Factor, Schedule
from firstlight.types import Array


@SCHEDULES.register
class Step(Schedule):
    """lr · factorᵏ after k times `every` epochs.

    every   epochs between two steps
    factor  the factor at each step
    """

    every: Annotated[int, Ge(1), Unit("epochs")] = 10
    factor: Factor = 0.1

    def curve(self, epochs: Array, progress: Array) -> Array:
        return self.factor ** np.floor(epochs / self.every)
