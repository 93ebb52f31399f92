"""Our accuracies beside published ones, judged by the spread of the seeds."""

from __future__ import annotations

MARKS = {"above": "▲", "within": "≈", "below": "▼", "higher": "△", "lower": "▽", "equal": "="}
MARKS_EXPLAINED = (
    "▲ ours is higher than this number by more than two standard deviations of the seeds, ≈ within two, ▼ lower by "
    "more. △ and ▽: higher or lower, with a single seed and so no standard deviation to judge by."
)
