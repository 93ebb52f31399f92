"""What a reader must know of a search before believing its best trial: how it was chosen, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from firstlight.cautions import Caution
from firstlight.evaluation.metrics import in_words, is_percent
from firstlight.records.search_folder import Tuned
from firstlight.report.document import Block, Section, Text
from firstlight.report.format import count, counted, points
from firstlight.report.trials import ended
from firstlight.text import listed

REASONS = 5  # reasons of failing that are told one by one
UNREAD = (
    "The test images were set aside before the first trial and were never read: every trial was trained on the "
    "training images and evaluated on the validation images alone."
)


@dataclass(frozen=True)
class SearchCautions:
    """How far the best trial is to be believed.

    ended    how many trials came to an end, of those that were asked for
    failed   the numbers of the trials that failed, by the reason
    second   the number of the second best trial and by how much accuracy it is behind; None where nothing compares
    """

    monitor: str
    ended: int
    asked: int
    failed: Mapping[str, Sequence[int]]
    second: tuple[int, float] | None = None


def numbers(tuned: Tuned) -> SearchCautions:
    """Those of a search of which a trial is complete."""
    failed: dict[str, list[int]] = {}
    for trial in tuned.ended("failed"):
        failed.setdefault(trial.reason, []).append(trial.number)
    second = None
    if len(tuned.complete) > 1 and is_percent(tuned.monitor):
        first, other = tuned.complete[:2]
        second = other.number, abs((first.value or 0.0) - (other.value or 0.0))
    return SearchCautions(tuned.monitor, len(ended(tuned)), tuned.asked, failed, second)


def blocks(found: SearchCautions) -> tuple[Block, ...]:
    """The warnings first."""
    warnings = [
        Caution.BEST_OF_MANY.text(
            f"The {in_words(found.monitor)} of the best trial is optimistic: it is the best of "
            f"{counted(found.ended, 'trial')}, chosen by that same number, on one seed. Measure it on several seeds: "
            "firstlight run best.toml --seed 1 (2, 3, …) evaluates on the test images, which no trial has used."
        )
    ]
    if found.ended < found.asked:
        warnings.append(
            Caution.SEARCH_INCOMPLETE.text(
                f"The search is not complete: {counted(found.asked - found.ended, 'trial')} of {count(found.asked)} "
                "missing. The same command continues."
            )
        )
    for reason, trials in list(found.failed.items())[:REASONS]:
        warnings.append(
            Caution.SEARCH_INCOMPLETE.text(
                f"Trial{'s' * (len(trials) > 1)} {listed([str(number) for number in trials])} failed. {reason}"
            )
        )
    notes = [UNREAD]
    if found.second is not None:
        trial, behind = found.second
        reached = f"is {points(behind)} behind" if behind else "reached the same"
        notes.append(
            f"The second best, trial {trial}, {reached}: such a difference may well be due to the seed. Prefer what is "
            "simpler or faster among the best."
        )
    return (*(Text(text, tone="warning") for text in warnings), *(Text(text, tone="note") for text in notes))


def section(tuned: Tuned) -> Section:
    """The warnings and notes."""
    return Section("Before you trust it", "notes", blocks(numbers(tuned)))


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd searches, by what is odd."""
    one = SearchCautions("val_loss", 1, 1, {})
    return {
        "one trial": blocks(one),
        "missing and failed": blocks(replace(one, asked=9, failed={"<b>": [2, 3], "": [4]}, second=(7, 0.0))),
    }
