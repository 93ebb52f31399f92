"""Which trials of a search are stopped early: successive halving and Hyperband, from the recorded values alone.

At a rung, after r·ηᵏ epochs, a trial continues only if it is among the best 1/η of those that have come so far (Li et
al. 2020, "A system for massively parallel hyperparameter tuning", ASHA). Hyperband (Li et al. 2018) hedges against good
trials that start slowly: it deals the trials to brackets whose first rung comes later and later.

Optuna has both, but keeps their state on every attempt at a trial and deals brackets by the number of the attempt: a
trial that was killed and tried again would count twice. Here both follow from the trial's place in the search and from
the values of trials that count, so that a search that was interrupted prunes what an uninterrupted one prunes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from firstlight.randomness import generator


@dataclass(frozen=True)
class Pruner:
    """The rule of one search.

    min_epochs  r: no trial is stopped before
    reduction   η: one of so many continues
    epochs      the most that a trial trains
    hyperband   several brackets, not one
    seed        deals the trials to them
    """

    min_epochs: int
    reduction: int
    epochs: int
    hyperband: bool = False
    seed: int = 0

    @cached_property
    def rungs(self) -> tuple[int, ...]:
        """The epochs after which trials are compared: r, rη, rη², … below the last."""
        rungs, epoch = [], self.min_epochs
        while epoch < self.epochs:
            rungs.append(epoch)
            epoch *= self.reduction
        return tuple(rungs)

    @cached_property
    def _shares(self) -> list[int]:
        """How many trials of a cycle go to each bracket; the last bracket trains its trials to their end."""
        if not self.hyperband:
            return [1]
        last = len(self.rungs)
        return [math.ceil((last + 1) * self.reduction ** (last - b) / (last - b + 1)) for b in range(last + 1)]

    def bracket(self, place: int) -> int:
        """The bracket of the trial at `place` (from 0) of the search."""
        deck = [bracket for bracket, share in enumerate(self._shares) for _ in range(share)]
        cycle, at = divmod(place, len(deck))
        return deck[int(generator(self.seed, "brackets", cycle).permutation(len(deck))[at])]

    def is_rung(self, place: int, epoch: int) -> bool:
        """Whether the trial at `place` stands at one of its rungs after `epoch` epochs."""
        return epoch in self.rungs[self.bracket(place) :]

    def prunes(self, value: float, others: Sequence[float], maximize: bool) -> bool:
        """Whether a trial with `value` stops at a rung that `others` of its bracket have reached.

        Of equals, none does; and as long as fewer than η have come, there is nothing to compare with.
        """
        sign = 1 if maximize else -1
        ranked = sorted((sign * other for other in [*others, value]), reverse=True)
        going_on = len(ranked) // self.reduction
        return going_on > 0 and sign * value < ranked[going_on - 1]
