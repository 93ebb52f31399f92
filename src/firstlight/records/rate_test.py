"""What a test of learning rates found: the loss of each step as the rate rose, and which rate that speaks for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np

from firstlight.notebook_display import Brief
from firstlight.records.codec import NullIs, encode
from firstlight.records.environment import Environment
from firstlight.types import Array, Json

WINDOW = 1 / 40  # of the steps: the standard deviation of the Gaussian that smooths the curve
SURE = 3.0  # standard deviations of chance that the loss has to fall by
LEAST_FALL = 0.02  # of the first loss, likewise
DIVERGED = 1.5  # times the first losses, and
RISEN = 4.0  # times the least: where the test ends


@dataclass(frozen=True)
class Suggestion:
    """A learning rate, or None where the curve speaks for none; and why, in a sentence."""

    rate: float | None
    reason: str


@dataclass(frozen=True, eq=False, repr=False)
class RateTest(Brief):
    """A training whose learning rate rose from step to step until the loss grew (Smith 2017, section 3.3).

    rates, losses  of each step; the loss of a step is that of its images before it
    to             the rate that it was to end at
    lr             the rate that the experiment asks for
    training_images, passes  how many there are, and how often all of them were seen
    seconds        that the steps took
    """

    model: str
    data: str
    optimizer: str
    batch_size: int
    seed: int
    lr: float
    to: float
    rates: tuple[float, ...]
    losses: tuple[Annotated[float, NullIs(math.nan)], ...]
    training_images: int
    environment: Environment
    seconds: float = 0.0

    @property
    def passes(self) -> float:
        return len(self.rates) * self.batch_size / self.training_images

    @property
    def diverged(self) -> bool:
        """Whether it ended because the loss grew, and not at the last rate."""
        return self.rates[-1] < self.to * (1 - 1e-9) or not math.isfinite(self.losses[-1])

    @cached_property
    def smoothed(self) -> Array:
        """float64 (steps,): the losses, smoothed over the steps before and after, so that nothing is late."""
        losses = np.array(self.losses)
        steps = np.arange(len(losses))
        width = max(1.0, WINDOW * len(losses))
        weights = np.exp(-0.5 * ((steps[:, None] - steps) / width) ** 2) * np.isfinite(losses)
        return (weights @ np.nan_to_num(losses)) / np.maximum(weights.sum(axis=1), 1e-300)

    @cached_property
    def suggestion(self) -> Suggestion:
        """The rate at which the loss falls fastest, but at most a tenth of the one at which training breaks down.

        Fastest is by the largest share of itself: after a few steps the loss has less to lose.
        """
        smooth, rates = self.smoothed, np.array(self.rates)
        if len(rates) < 10:
            return Suggestion(None, f"The loss grew after {len(rates)} steps: start from a lower rate (--from).")
        first = max(3, len(rates) // 10)  # steps at rates too small to learn anything
        start = float(np.mean(self.losses[:first]))
        lowest = int(smooth.argmin())
        fall = start - float(smooth[lowest])
        residual = np.array(self.losses)[: lowest + 1] - smooth[: lowest + 1]
        width = max(1.0, WINDOW * len(rates))
        chance = float(np.nanstd(residual)) / math.sqrt(2 * math.sqrt(math.pi) * width) if lowest else math.inf
        if fall < max(SURE * chance, LEAST_FALL * abs(start)):
            return Suggestion(
                None,
                f"The loss never fell clearly: from {start:.4g} to {smooth[lowest]:.4g} at best, with a noise "
                f"of ±{SURE * chance if math.isfinite(chance) else 0:.2g}. Use more steps (--steps), or another "
                "range (--from, --to).",
            )
        slope = np.gradient(np.log(np.maximum(smooth, 1e-300)), np.log(rates))
        steepest = float(rates[int(slope[: lowest + 1].argmin())])
        breaks = self._rises_again(start, lowest)
        if breaks is not None and steepest > breaks / 10:
            return Suggestion(
                breaks / 10,
                f"One tenth of {breaks:.2g}, at which training diverges; the loss falls fastest at {steepest:.2g}, "
                "which is closer to that than is safe.",
            )
        if breaks is None:
            edge = f"Up to {rates[-1]:.2g}, the last rate, training did not diverge."
        else:
            edge = f"Training diverges at {breaks:.2g}, more than ten times that."
        return Suggestion(steepest, f"The loss falls fastest there. {edge}")

    def _rises_again(self, start: float, lowest: int) -> float | None:
        """The first rate after the lowest loss at which half of what was gained is lost; else the last, if it ended."""
        above = self.smoothed[lowest:] > (start + self.smoothed[lowest]) / 2
        if above.any():
            return float(self.rates[lowest + int(above.argmax())])
        return float(self.rates[-1]) if self.diverged else None

    def to_json(self) -> Json:
        """Plain values, with the smoothed losses and the suggestion."""
        record = encode(self)
        assert isinstance(record, dict)
        found = self.suggestion
        losses = [loss if math.isfinite(loss) else None for loss in self.losses]
        return {
            "suggestion": found.rate,
            "reason": found.reason,
            "diverged": self.diverged,
            **record,
            "losses": losses,
            "smoothed": self.smoothed.tolist(),
        }
