"""Cosines one after another, each from the whole rate."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Unit

from firstlight.schedules.base import SCHEDULES, Schedule, Share, half_cosine
from firstlight.types import Array


@SCHEDULES.register
class WarmRestarts(Schedule):
    """Half cosines from lr to final · lr, the first of `period` epochs (SGDR, Loshchilov & Hutter 2016).

    Training best ends where a cosine does: with growth 2 after 1, 3, 7, 15, … periods.

    period  epochs of the first
    growth  the length of each relative to the one before
    final   the share of the rate at the end of each
    """

    period: Annotated[int, Ge(1), Unit("epochs")] = 5
    growth: Annotated[int, Ge(1)] = 2
    final: Share = 0.0

    def curve(self, epochs: Array, progress: Array) -> Array:
        starts, length = [0], self.period
        while starts[-1] + length <= epochs.max():
            starts.append(starts[-1] + length)
            length *= self.growth
        cycle = np.searchsorted(starts, epochs, side="right") - 1
        lengths = self.period * float(self.growth) ** cycle
        return half_cosine(1.0, self.final, (epochs - np.array(starts)[cycle]) / lengths)
