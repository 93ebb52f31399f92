"""Our accuracies beside published ones, judged by the spread of the seeds: how many are reached, and which are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firstlight.evaluation import Spread
from firstlight.records.group import Group
from firstlight.report.document import Number
from firstlight.report.format import count, counted, percent, plus_minus
from firstlight.text import listed

MARKS = {"above": "▲", "within": "≈", "below": "▼", "higher": "△", "lower": "▽", "equal": "="}
MARKS_EXPLAINED = (
    "▲ our accuracy is higher than the published one by more than two standard deviations over the seeds, ≈ within "
    "two, ▼ lower by more. △ and ▽: higher or lower, with a single seed and therefore without a standard deviation."
)


@dataclass(frozen=True)
class Reached:
    """How many published numbers there are, of how many there is one of ours, and those that ours does not reach.

    short  by name of the group: what is measured ("test" or "validation"), ours, and the published number
    """

    published: int
    tried: int
    short: Sequence[tuple[str, str, Spread, float]]

    @property
    def reached(self) -> int:
        return self.tried - len(self.short)


def numbers(groups: Sequence[Group]) -> Reached:
    """Those of all groups."""
    given = [(group.name, claim) for group in groups for claim in group.claims]
    tried = [(name, claim, claim.ours) for name, claim in given if claim.ours is not None]
    short = [(name, c.measure, ours, c.number) for name, c, ours in tried if not c.reached and c.number is not None]
    return Reached(len(given), len(tried), short)


def headline(groups: Sequence[Group]) -> Number | None:
    """How many are reached, to be seen from afar; None where there is none to be."""
    found = numbers(groups)
    if not found.tried:
        return None
    left = f"; {count(found.published - found.tried)} not tried" if found.published > found.tried else ""
    of = f"{found.reached} of {found.tried}"
    return Number("published numbers reached", of, f"within two s.d., or better{left}")


def verdict(groups: Sequence[Group]) -> str:
    """How many of the published numbers are reached, and which are not."""
    found = numbers(groups)
    if not found.tried:
        return ""
    one = found.tried == 1
    tried = "" if found.tried == found.published else f" that {'was' if one else 'were'} tried"
    how = "within two standard deviations, or beaten"
    if not found.short:
        which = f"The published number{tried} is" if one else f"All {count(found.tried)} published numbers{tried} are"
        return f"{which} reached {how}."
    short = [
        f"{name} ({'validation ' * (measure == 'validation')}{plus_minus(ours)}, published {percent(number, 2)})"
        for name, measure, ours, number in found.short
    ]
    verb = "" if not tried else " is" if one else " are"
    return (
        f"{count(found.reached)} of {counted(found.tried, 'published number')}{tried}{verb} reached {how}; not by "
        f"{listed(short)}."
    )
