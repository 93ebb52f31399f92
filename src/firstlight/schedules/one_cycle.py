"""One rise and one fall."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Gt, Lt

from firstlight.schedules.base import SCHEDULES, Schedule, Share, half_cosine
from firstlight.types import Array


@SCHEDULES.register
class OneCycle(Schedule):
    """From start · lr up to lr in the first share `rise` of the steps, then down to end · lr, both along half a cosine.

    (Smith & Topin 2017; the defaults are PyTorch's.)

    start, end  shares of the rate at the first and at the last step
    rise        the share of the steps during which it rises
    """

    start: Share = 0.04
    end: Share = 4e-6
    rise: Annotated[float, Gt(0), Lt(1)] = 0.3

    def curve(self, epochs: Array, progress: Array) -> Array:
        up = half_cosine(self.start, 1.0, progress / self.rise)
        down = half_cosine(1.0, self.end, (progress - self.rise) / (1 - self.rise))
        return np.where(progress < self.rise, up, down)
