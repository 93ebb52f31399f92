"""The best trials of a search, with their settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from firstlight.evaluation.metrics import in_words
from firstlight.records.search_folder import TrialRecord, Tuned, shown
from firstlight.report.document import Block, Section, Table
from firstlight.report.format import DASH, counted, seconds
from firstlight.report.trials import ended, value_text
from firstlight.text import listed

MOST = 10


@dataclass(frozen=True)
class BestTrials:
    """The best of the complete trials, the best first.

    space  the searched keys, as the tune file has them
    ended  how many trials there are
    """

    monitor: str
    space: Mapping[str, object]
    trials: Sequence[TrialRecord]
    ended: int


def numbers(tuned: Tuned) -> BestTrials:
    """Those of a search of which a trial is complete."""
    return BestTrials(tuned.monitor, tuned.space, tuned.complete[:MOST], len(ended(tuned)))


def table(found: BestTrials) -> Table:
    """A row per trial."""
    titles = ("trial", in_words(found.monitor), *found.space, "epochs (best)", "time")
    numeric = [place for place, domain in enumerate(found.space.values(), 2) if isinstance(domain, Mapping)]
    rows = tuple(
        (
            str(trial.number),
            f"{'★ ' * (place == 0)}{value_text(found.monitor, trial.value)}",
            *(shown(trial.values[key]) for key in found.space),
            f"{trial.epochs} ({trial.best or DASH})",
            seconds(trial.seconds),
        )
        for place, trial in enumerate(found.trials)
    )
    return Table(
        titles=titles,
        rows=rows,
        right=frozenset({1, *numeric, len(titles) - 2, len(titles) - 1}),
        strong=frozenset({0}),
        caption=f"★ The best. All {counted(found.ended, 'trial')} are in trials.csv, with the curves and the "
        "experiment of each in trials/.",
    )


def section(tuned: Tuned) -> Section:
    """The table."""
    return Section("The best trials", "best", (table(numbers(tuned)),))


def verdict(tuned: Tuned) -> str:
    """The best trial with its settings, and how far the others are behind."""
    best, complete, quantity = tuned.best, tuned.complete, in_words(tuned.monitor)
    values = listed([f"{key} {shown(number)}" for key, number in best.values.items()])
    reached = [value_text(tuned.monitor, trial.value) for trial in complete]
    text = f"Trial {best.number} of {len(ended(tuned))} was the best: {quantity} {reached[0]}, with {values}."
    if len(complete) > 1:
        text += f" The median of the complete trials reached {reached[len(complete) // 2]}, the worst {reached[-1]}."
    return text


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd trials, by what is odd."""
    trial = TrialRecord(1, "complete", {"<b>": [1, {"a": True}], "b": 0.1}, 1e30)
    return {"odd values": (table(BestTrials("val_loss", {"<b>": [], "b": {"uniform": [0, 1]}}, [trial], 1)),)}
