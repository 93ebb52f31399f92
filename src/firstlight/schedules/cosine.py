"""Half a cosine."""

from __future__ import annotations

from firstlight.schedules.base import SCHEDULES, Schedule, Share, half_cosine
from firstlight.types import Array


@SCHEDULES.register
class Cosine(Schedule):
    """From lr to final · lr along half a cosine (Loshchilov & Hutter 2016).

    final  the share of the rate at the end
    """

    final: Share = 0.0

    def curve(self, epochs: Array, progress: Array) -> Array:
        return half_cosine(1.0, self.final, progress)
