"""Up and down in straight lines, again and again."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Unit

from firstlight.schedules.base import SCHEDULES, Factor, Schedule, Share
from firstlight.types import Array


@SCHEDULES.register
class Triangular(Schedule):
    """From start · lr up to lr and back in each `period` epochs (cyclical learning rates, Smith 2017).

    period  epochs of a rise and a fall
    start   the share of the rate at the minimum
    factor  the height of each triangle relative to the one before: 0.5 is the paper's triangular2
    """

    period: Annotated[int, Ge(1), Unit("epochs")] = 4
    start: Share = 0.1
    factor: Factor = 1.0

    def curve(self, epochs: Array, progress: Array) -> Array:
        cycle = np.floor(epochs / self.period)
        height = 1 - np.abs(2 * (epochs / self.period - cycle) - 1)
        return self.start + (1 - self.start) * height * self.factor**cycle
