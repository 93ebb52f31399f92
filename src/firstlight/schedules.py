"""Schedules: the learning rate of each step, as pure functions of the place in training.

During `warmup` epochs the rate rises in a straight line from zero to where the schedule begins; the schedule then runs
over the epochs that are left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le, Lt, Unit

from firstlight.components import Component, Components
from firstlight.errors import ExperimentError
from firstlight.types import Array

Share = Annotated[float, Ge(0), Le(1)]
Factor = Annotated[float, Gt(0), Le(1)]


@dataclass(frozen=True)
class Schedule(Component):
    """The base of all schedules: `curve` is what the learning rate is multiplied by.

    warmup  epochs at the start in which the rate rises in a straight line, and the curve waits
    """

    warmup: Annotated[float, Ge(0), Unit("epochs")] = field(default=0.0, kw_only=True)

    def rates(self, epoch: int, steps_per_epoch: int, epochs: int, lr: float) -> Array:
        """float64 (steps_per_epoch,): the learning rate of each step of `epoch`, counted from 0, of so many `epochs`.

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
        return lr * rise * self.curve(since / steps_per_epoch, progress)

    def curve(self, epochs: Array, progress: Array) -> Array:
        """The share of the learning rate so many `epochs` after the warm-up.

        `progress` runs from 0 at the first step after it to 1 at the last of training.
        """
        raise NotImplementedError


SCHEDULES = Components("schedule", base=Schedule, error=ExperimentError)


@SCHEDULES.register
class Constant(Schedule):
    """lr, all along."""

    def curve(self, epochs: Array, progress: Array) -> Array:
        return np.ones_like(progress)


@SCHEDULES.register
class Step(Schedule):
    """lr · factorᵏ after k times `every` epochs.

    every   epochs between two steps
    factor  what each step multiplies the rate by
    """

    every: Annotated[int, Ge(1), Unit("epochs")] = 10
    factor: Factor = 0.1

    def curve(self, epochs: Array, progress: Array) -> Array:
        return self.factor ** np.floor(epochs / self.every)


@SCHEDULES.register
class Exponential(Schedule):
    """lr · factorᵗ after t epochs, falling with every step.

    factor  what an epoch multiplies the rate by
    """

    factor: Factor = 0.95

    def curve(self, epochs: Array, progress: Array) -> Array:
        return self.factor**epochs


@SCHEDULES.register
class Cosine(Schedule):
    """From lr to final · lr along half a cosine (Loshchilov & Hutter 2016).

    final  the share of the rate that is left at the end
    """

    final: Share = 0.0

    def curve(self, epochs: Array, progress: Array) -> Array:
        return _half_cosine(1.0, self.final, progress)


@SCHEDULES.register
class OneCycle(Schedule):
    """From start · lr up to lr in the first share `rise` of the steps, then down to end · lr, both along half a cosine.

    (Smith & Topin 2017; the defaults are PyTorch's.)

    start, end  shares of the rate at the first and at the last step
    rise        the share of the steps in which it rises
    """

    start: Share = 0.04
    end: Share = 4e-6
    rise: Annotated[float, Gt(0), Lt(1)] = 0.3

    def curve(self, epochs: Array, progress: Array) -> Array:
        up = _half_cosine(self.start, 1.0, progress / self.rise)
        down = _half_cosine(1.0, self.end, (progress - self.rise) / (1 - self.rise))
        return np.where(progress < self.rise, up, down)


def schedule(name: str, **options: Any) -> Schedule:
    """The schedule called `name` with its options. Raises ExperimentError for an unknown name or option."""
    return SCHEDULES.build(name, **options)


def _half_cosine(start: float, end: float, progress: Array) -> Array:
    """From `start` at progress 0 to `end` at 1."""
    return end + (start - end) * (1 + np.cos(math.pi * progress)) / 2
