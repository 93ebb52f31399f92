"""What a metric must pass: a function (labels int (N,), probabilities float32 (N, K)) -> float."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from firstlight.checks.demand import Demand, DemandError, Fault, must_be_unwritten, must_equal
from firstlight.types import Array

Metric = Callable[[Array, Array], float]


@dataclass(frozen=True)
class Case:
    """A metric with predictions of so many images and classes."""

    metric: Metric
    name: str
    images: int = 40
    classes: int = 4

    @classmethod
    def all_of(cls, metric: Metric, name: str) -> list[Case]:
        return [cls(metric, name, classes=classes) for classes in (4, 2, 10)]

    def __str__(self) -> str:
        return f"{self.name} on {self.images} images of {self.classes} classes"

    def predictions(self) -> tuple[Array, Array]:
        """Labels of all classes, and probabilities that are right more often than not."""
        draw = np.random.default_rng(0)
        labels = np.resize(np.arange(self.classes), self.images)
        scores = draw.standard_normal((self.images, self.classes)) + 2 * np.eye(self.classes)[labels]
        rows = np.exp(scores)
        return labels, (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)

    def value(self, labels: Array, probabilities: Array, where: str) -> float:
        """What the metric says, which must be a number."""
        found = self.metric(labels, probabilities)
        if not isinstance(found, int | float | np.floating | np.integer) or isinstance(found, bool):
            raise DemandError(where, "a float", found)
        return float(found)


def number(case: Case) -> None:
    """It gives a finite number."""
    found = case.value(*case.predictions(), "value")
    if not np.isfinite(found):
        raise DemandError("value", "a finite number", found)


def order(case: Case) -> None:
    """The order of the images does not matter."""
    labels, rows = case.predictions()
    place = np.random.default_rng(1).permutation(len(labels))
    plain, moved = case.value(labels, rows, "value"), case.value(labels[place], rows[place], "other order")
    if not abs(plain - moved) <= 1e-6 * max(1, abs(plain)):
        raise DemandError("images in another order", f"{plain:.9g}", f"{moved:.9g}")


def again(case: Case) -> None:
    """Asked again, it says the same."""
    found = [case.value(*case.predictions(), "value") for _ in range(3)]
    must_equal("asked three times", found[:1] * 3, found, "{}")


def unwritten(case: Case) -> None:
    """Neither labels nor probabilities are written to."""
    labels, rows = case.predictions()
    case.metric(labels, rows)
    for what, now, before in zip(("labels", "probabilities"), (labels, rows), case.predictions(), strict=True):
        must_be_unwritten(what, now, before)


def sensitive(case: Case) -> None:
    """Perfect predictions, those that are all wrong, and undecided ones are not all the same to it."""
    labels, _ = case.predictions()
    right, wrong = (np.eye(case.classes, dtype=np.float32)[(labels + shift) % case.classes] for shift in (0, 1))
    undecided = np.full_like(right, 1 / case.classes)
    values = [
        case.value(labels, rows, what)
        for rows, what in ((right, "all right"), (wrong, "all wrong"), (undecided, "undecided"))
    ]
    if len(set(values)) == 1:
        raise DemandError("all right, all wrong, and undecided", "numbers that differ", f"{values[0]:g} three times")


DEMANDS = (
    Demand("a number", number),
    Demand("order", order),
    Demand("the same again", again),
    Demand("inputs unwritten", unwritten),
    Demand("sensitive", sensitive),
)


def _with(change: Callable[[Case, Array, Array], Any]) -> Callable[[Case], Case]:
    return lambda case: replace(case, metric=lambda labels, rows: change(case, labels, rows))


def _writes(case: Case, labels: Array, rows: Array) -> float:
    found = case.metric(labels, rows.copy())
    rows *= np.float32(0.5)
    return found


def _counts(case: Case) -> Case:
    calls = iter(range(10**9))
    return replace(case, metric=lambda labels, rows: case.metric(labels, rows) + next(calls))


FAULTS = (
    Fault("nothing returned", _with(lambda case, labels, rows: None)),
    Fault("the first image alone", _with(lambda case, labels, rows: float(rows[0, labels[0]]))),
    Fault("other numbers with each call", _counts),
    Fault("writes to the probabilities", _with(_writes)),
    Fault("a constant", _with(lambda case, labels, rows: 0.5)),
)
