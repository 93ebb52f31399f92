"""What a schedule must pass, over a whole training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from firstlight.checks.demand import Demand, DemandError, Fault, must_be_close, must_equal, must_store_nothing, spoilt
from firstlight.schedules import Schedule
from firstlight.types import Array

LR = 0.3


@dataclass(frozen=True)
class Case:
    """A schedule over so many epochs of so many steps."""

    schedule: Schedule
    epochs: int = 8
    steps: int = 5

    def __str__(self) -> str:
        return f"{self.schedule!r} over {self.epochs} epochs of {self.steps} steps"

    @classmethod
    def all_of(cls, schedule: Schedule) -> list[Case]:
        return [cls(schedule), cls(schedule, 1, 1), cls(schedule, 20, 10)]

    def rates(self, epoch: int, schedule: Schedule | None = None) -> Array:
        return (schedule or self.schedule).rates(epoch, self.steps, self.epochs, LR)

    def curve(self, schedule: Schedule | None = None) -> Array:
        """The learning rates of all steps of training."""
        return np.concatenate([self.rates(epoch, schedule) for epoch in range(self.epochs)])


def rates(case: Case) -> None:
    """There is a finite rate for each step, float64, from 0 to the learning rate."""
    for epoch in range(case.epochs):
        found = case.rates(epoch)
        must_equal(f"epoch {epoch + 1}", (case.steps,), np.shape(found), "the shape {}, a rate per step")
        must_equal(f"epoch {epoch + 1}", "float64", found.dtype.name, "{}")
        wrong = ~((found >= 0) & (found <= LR * (1 + 1e-12)))
        if wrong.any():
            where = f"epoch {epoch + 1}, step {int(wrong.argmax()) + 1}"
            raise DemandError(where, f"a rate from 0 to the learning rate, {LR}", f"{found[wrong][0]:g}")


def pure(case: Case) -> None:
    """The rates follow from the place in training alone: asked in another order, or again, they are the same."""
    held, forwards = dict(vars(case.schedule)), case.curve()
    backwards = np.concatenate([case.rates(epoch) for epoch in reversed(range(case.epochs))][::-1])
    must_equal("asked from the last epoch to the first", forwards.tolist(), backwards.tolist(), "the same rates")
    must_store_nothing("schedule", held, case.schedule)


def warmup(case: Case) -> None:
    """During `warmup` epochs the rate rises in a straight line to where the schedule begins."""
    if case.epochs < 3:
        return
    plain = case.schedule if not case.schedule.warmup else replace(case.schedule, warmup=0.0)
    warmed = replace(plain, warmup=1.0)
    if "rates" in vars(case.schedule):  # a spoilt one
        warmed = spoilt(warmed, rates=vars(case.schedule)["rates"])
    line = np.arange(1, case.steps + 2) / (case.steps + 1) * case.rates(0, plain)[0]
    must_be_close("warmup = 1, its steps", case.curve(warmed)[: case.steps + 1], line, 1e-12)


DEMANDS = (Demand("rates", rates), Demand("pure", pure), Demand("warm-up", warmup))


def _with(change: Callable[[Array, int], Array]) -> Callable[[Case], Case]:
    def spoil(case: Case) -> Case:
        calls = iter(range(10**9))

        def rates(epoch: int, steps_per_epoch: int, epochs: int, lr: float) -> Any:
            return change(case.schedule.rates(epoch, steps_per_epoch, epochs, lr), next(calls))

        return replace(case, schedule=spoilt(case.schedule, rates=rates))

    return spoil


FAULTS = (
    Fault("rates × −1", _with(lambda rates, call: -rates)),
    Fault("one rate too few", _with(lambda rates, call: rates[:-1])),
    Fault("a rate above the learning rate", _with(lambda rates, call: rates + 1)),
    Fault("rates that fall with each call", _with(lambda rates, call: rates * 0.9**call)),
)
