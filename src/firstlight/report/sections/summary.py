"""The summary of a run: what was asked for, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firstlight.records import result
from firstlight.records.group import Group
from firstlight.records.run import RunRecord
from firstlight.report.document import Beside, Block, Section, Table
from firstlight.report.format import THIN, UNDEFINED, decimal, interval, percent, recorded, scored
from firstlight.report.settings import Row, settings
from firstlight.text import capitalized


@dataclass(frozen=True)
class Summary:
    """The settings and the results, each a name and a value in words."""

    settings: Sequence[Row]
    results: Sequence[Row]


def numbers(group: Group) -> Summary:
    return Summary(settings(group.first), _results(group.first))


def _results(run: RunRecord) -> list[Row]:
    test, validation = run.test, run.validation
    return [
        ("Test accuracy", percent(test.accuracy)),
        (f"95{THIN}% interval", interval(test.accuracy_interval)),
        ("Test loss", decimal(test.loss)),
        ("Validation accuracy", percent(validation.accuracy) if validation else UNDEFINED),
        ("Validation loss", decimal(validation.loss) if validation else UNDEFINED),
        *((f"Top-{k} accuracy", percent(share)) for k, share in test.top_k.items() if k > 1),
        ("Calibration error", percent(test.calibration_error)),
        ("Macro F1", decimal(test.macro.f1, 3)),
        *((capitalized(score.title), scored(score)) for score in test.scores),
        ("Epochs", epochs(run)),
        *(
            (shown.title, recorded(shown, number))
            for place, shown in result.shown().items()
            if (number := run.numbers[place]) is not None or not shown.asked
        ),
    ]


def epochs(run: RunRecord) -> str:
    """How many epochs were run, of how many, which was best, and whose weights were kept."""
    best = "" if run.best_epoch is None else f", best {run.best_epoch}"
    kept = "" if run.best_epoch is None or run.kept_best else f", weights of {run.weights_epoch}"
    ended = "" if run.status == "finished" else f", {run.status}"
    return f"{run.epochs_run} of {run.epochs_asked}{best}{kept}{ended}"


def section(groups: Sequence[Group]) -> Section | None:
    """The summary of a single run."""
    if len(groups) != 1 or len(groups[0].runs) != 1:
        return None
    return Section("Summary", "asked", blocks(numbers(groups[0])))


def blocks(found: Summary) -> tuple[Block, ...]:
    return (Beside((Table(tuple(found.settings), caption="Settings"), Table(tuple(found.results), caption="Results"))),)


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd summaries, by what is odd."""
    return {"long and hostile": blocks(Summary([("Model", "<b>" * 50)], [("Test accuracy", UNDEFINED)]))}
