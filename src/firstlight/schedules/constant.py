"""The same learning rate all along."""

from __future__ import annotations

import numpy as np

from firstlight.schedules.base import SCHEDULES, Schedule
from firstlight.types import Array


@SCHEDULES.register
class Constant(Schedule):
    """lr throughout."""

    def curve(self, epochs: Array, progress: Array) -> Array:
        return np.ones_like(progress)
