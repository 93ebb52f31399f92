"""Our accuracies beside published ones, judged by the spread of the seeds."""

from __future__ import annotations

from firstlight.evaluation import Spread

WITHIN = 2  # standard deviations

MARKS = {"above": "▲", "within": "≈", "below": "▼", "higher": "△", "lower": "▽", "equal": "="}
MARKS_EXPLAINED = (
    "▲ ours is higher than this number by more than two standard deviations of the seeds, ≈ within two, ▼ lower by "
    "more. △ and ▽: higher or lower, with a single seed and so no standard deviation to judge by."
)


def standing(ours: Spread, number: float) -> str:
    """How a mean stands to a published number, by the standard deviation of the seeds: a key of MARKS."""
    if ours.sd is None:
        return "equal" if ours.mean == number else "higher" if ours.mean > number else "lower"
    if abs(ours.mean - number) <= WITHIN * ours.sd:
        return "within"
    return "above" if ours.mean > number else "below"


def reached(ours: Spread, number: float) -> bool:
    """Whether a published number is reached within two standard deviations, or beaten."""
    return standing(ours, number) not in ("below", "lower")
