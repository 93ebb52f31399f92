"""What a schedule is: the learning rate of each step, as a pure function of the place in training.

During `warmup` epochs the rate rises in a straight line from zero to where the schedule begins; the schedule then runs
over the epochs that are left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le, Unit

from firstlight.components import Component, Components, needed
from firstlight.errors import ExperimentError
from firstlight.types import Array

Share = Annotated[float, Ge(0), Le(1)]
History = Sequence[Mapping[str, float]]
Factor = Annotated[float, Gt(0), Le(1)]


@dataclass(frozen=True)
class Schedule(Component):
    """The base of all schedules: `curve` is what the learning rate is multiplied by.

    warmup  epochs of linear warm-up before the schedule begins
    """

    warmup: Annotated[float, Ge(0), Unit("epochs")] = field(default=0.0, kw_only=True)

    def rates(self, epoch: int, steps_per_epoch: int, epochs: int, lr: float, history: History = ()) -> Array:
        """float64 (steps_per_epoch,): the learning rate of each step of `epoch`, counted from 0, of so many `epochs`.

        history  the rows of the epochs before, as `training.COLUMNS` names their numbers
        Raises ExperimentError where the warm-up takes all of them.
        """
        if self.warmup and self.warmup >= epochs:
            raise ExperimentError(
                f"schedule.warmup must be less than the {epochs} epochs of training; received {self.warmup!r}.",
                key="schedule.warmup",
            )
        warmup, total = round(self.warmup * steps_per_epoch), epochs * steps_per_epoch
        step = np.arange(epoch * steps_per_epoch, (epoch + 1) * steps_per_epoch, dtype=np.float64)
        since = np.maximum(step - warmup, 0)
        progress = since / max(total - warmup - 1, 1)
        rise = np.minimum((step + 1) / (warmup + 1), 1)
        return lr * rise * self.curve(since / steps_per_epoch, progress) * self.reduction(history)

    @needed()
    def curve(self, epochs: Array, progress: Array) -> Array:
        """The share of the learning rate so many `epochs` after the warm-up.

        `progress` runs from 0 at the first step after it to 1 at the last of training.
        """
        raise NotImplementedError

    def reduction(self, history: History) -> float:
        """What the epochs so far make of the rate besides. It is asked again each epoch, and so needs no state."""
        return 1.0


SCHEDULES = Components("schedule", base=Schedule, error=ExperimentError)


def schedule(name: str, **options: Any) -> Schedule:
    """The schedule called `name` with its options. Raises ExperimentError for an unknown name or option."""
    return SCHEDULES.build(name, **options)


def half_cosine(start: float, end: float, progress: Array) -> Array:
    """From `start` at progress 0 to `end` at 1."""
    return end + (start - end) * (1 + np.cos(math.pi * progress)) / 2
