"""What runs came to, a row for each group: the table that stands first wherever several are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from firstlight.evaluation import Spread
from firstlight.evaluation.scores import Interval
from firstlight.records import result as record
from firstlight.records.group import Group, standing, tasks, winners
from firstlight.report.document import Block, Cell, Link, Section, Table
from firstlight.report.format import (
    DASH,
    THIN,
    UNDEFINED,
    count,
    decimal,
    interval,
    percent,
    plus_minus,
    recorded,
    signed,
)
from firstlight.report.published import MARKS, MARKS_EXPLAINED

GAP = (
    "The training accuracy is that of the epoch whose weights were kept, measured during the epoch, with dropout and "
    "augmentation where there are any{mixed}; the gap is that minus the validation accuracy, and a large one is a sign "
    "of overfitting."
)
MIXED = " (of mixed images, the class with the largest share counts)"
COSTS = ("parameters.total", "multiply_adds", "seconds.train")  # which add up over the nets of an ensemble


@dataclass(frozen=True)
class Result:
    """The numbers of a group, means over its seeds; None for what it does not have.

    best      whether it is the best of its task by validation
    asked     how many seeds were asked for; n are those that the means are over
    interval  the 95 % interval of the test accuracy of a single run
    beside    other numbers to stand beside the test accuracy
    epochs    from the fewest to the most that were trained; kept are those whose weights were kept
    recorded  numbers of the runs' records that are shown, by their places there
    report    that of a single run, where there is one
    noun      what there are several of: "seed", "fold"
    together  whether these are not means over the nets, but what the mean of their probabilities came to
    mixed     whether a run had its training images mixed with others
    """

    name: str
    best: bool
    asked: int
    n: int
    published: float | None
    published_validation: float | None
    beside: Mapping[str, float]
    test: Spread | None = None
    interval: Interval | None = None
    greatest_validation: Spread | None = None
    validation: Spread | None = None
    training: Spread | None = None
    gap: float | None = None
    loss: Spread | None = None
    epochs: tuple[int, int] | None = None
    kept: tuple[int, int] | None = None
    recorded: Mapping[str, float] = field(default_factory=dict)
    report: Path | None = None
    noun: str = "seed"
    together: bool = False
    mixed: bool = False


def numbers(groups: Sequence[Group]) -> list[Result]:
    """A row for each group, in their order, and below it one for the ensemble of its nets, where it was measured.

    Of a group without a run there are but its published numbers.
    """
    best = {id(group) for task in tasks(groups) for group in winners(task)}
    rows = ([_result(group, id(group) in best), *_together(group)] for group in groups)
    return [row for several in rows for row in several]


def _together(group: Group) -> list[Result]:
    """The ensemble is one model: its accuracy has no spread over seeds, and an interval over the test images."""
    found, nets = group.together if group.runs else None, len(group.averaged)
    if found is None:
        return []
    return [
        Result(
            f"{group.name}, ensemble of {nets}",
            best=False,
            asked=nets,
            n=nets,
            published=None,
            published_validation=None,
            beside={},
            test=Spread(1, found.accuracy, None),
            interval=found.accuracy_interval,
            recorded={place: nets * value for place, value in group.numbers.items() if place in COSTS},
            noun=group.noun,
            together=True,
        )
    ]


def _result(group: Group, best: bool) -> Result:
    published = (group.published, group.published_validation, group.beside)
    if not group.runs:
        return Result(group.name, best, len(group.asked), 0, *published, noun=group.noun)
    runs = list(group.averaged.values())
    alone = group.first if len(group.asked) == len(runs) == 1 else None
    return Result(
        group.name,
        best,
        len(group.asked),
        len(runs),
        *published,
        test=group.accuracy,
        interval=runs[0].test.accuracy_interval if len(runs) == 1 else None,
        greatest_validation=group.best_validation,
        validation=group.validation,
        training=group.training,
        gap=group.gap,
        loss=group.loss,
        epochs=_range([run.epochs_run for run in runs]),
        kept=_range([run.weights_epoch for run in runs]),
        recorded=group.numbers,
        report=alone.report if alone else None,
        noun=group.noun,
        mixed=any(run.mixed for run in runs),
    )


def _range(values: Sequence[int]) -> tuple[int, int]:
    return min(values), max(values)


def table(found: Sequence[Result], folder: Path = Path()) -> Table:
    """A row per group, for a page that will lie in `folder`; a column is left out where no group has such a number."""
    others = list(dict.fromkeys(name for result in found for name in result.beside))
    there = [result for result in found if result.n]
    validated = any(result.validation for result in there)
    several = any(result.asked != 1 or result.n != 1 for result in found)
    published = any(result.published is not None for result in found)
    greatest = any(result.published_validation is not None for result in found)
    in_tables = {place: shown for place, shown in record.shown().items() if shown.column}
    columns: dict[str, list[Cell]] = {
        "run": [_name(result, folder) for result in found],
        **({f"{_noun(found)}s": [_seeds(result) for result in found]} if several else {}),
        **({"validation accuracy": [_share(result.validation) for result in found]} if validated else {}),
        "test accuracy": [_test(result) for result in found],
        **({"published": [_beside(result.test, result.published) for result in found]} if published else {}),
        **{name: [_beside(result.test, result.beside.get(name)) for result in found] for name in others},
    }
    if greatest:
        columns["highest validation accuracy"] = [_mean(result.greatest_validation) for result in found]
        columns["published, validation"] = [
            _beside(result.greatest_validation, result.published_validation) for result in found
        ]
    columns["training accuracy"] = [_share(result.training) for result in found]
    if validated:
        columns["gap, points"] = [signed(result.gap) for result in found]
    columns |= {
        "test loss": [decimal(result.loss.mean if result.loss else None) for result in found],
        "epochs (kept)": [_epochs(result) for result in found],
        **{
            shown.column: [recorded(shown, result.recorded.get(place)) for result in found]
            for place, shown in in_tables.items()
            if any(place in result.recorded for result in found)
        },
    }
    return Table(
        titles=tuple(columns),
        rows=tuple(zip(*columns.values(), strict=True)),
        right=frozenset(range(1, len(columns))),
        strong=frozenset(place for place, result in enumerate(found) if result.best),
        caption=_caption(found, validated, greatest, published or greatest or bool(others)),
    )


def section(groups: Sequence[Group], folder: Path = Path()) -> Section | None:
    """The table, for a page that will lie in `folder`."""
    return Section("The runs", "runs", (table(numbers(groups), folder),)) if groups else None


def _noun(found: Sequence[Result]) -> str:
    nouns = {result.noun for result in found}
    return nouns.pop() if len(nouns) == 1 else "run"


def _caption(found: Sequence[Result], validated: bool, greatest: bool, judged: bool) -> str:
    nets = [result for result in found if not result.together]
    noun = _noun(nets)
    several, single = any(result.n > 1 for result in nets), any(result.n == 1 for result in nets)
    said = {
        f"Numbers are means over the {noun}s, the test accuracy with its standard deviation (±).": several,
        f"A run with one {noun} has its own numbers, and its test accuracy the 95{THIN}% interval in brackets.": single,
        f"An ensemble is the mean of the probabilities of its seeds’ nets, with the 95{THIN}% interval of its test "
        "accuracy in brackets; parameters, multiply-adds and time are those of all its nets.": len(nets) < len(found),
        f"★ The best by {'mean ' * several}validation accuracy.": any(result.best for result in found),
        "The highest validation accuracy is the maximum over the epochs, whichever weights were kept.": greatest,
        MARKS_EXPLAINED: judged,
        f"“4 of 5” {noun}s: the others have no result, or were interrupted.": any(r.n < r.asked for r in found),
        "Of the epochs, the number in brackets is that whose weights were kept and measured"
        f"{f'; where {noun}s differ, from the least to the greatest' * several}.": True,
        "The training time is the mean of one run.": several,
        GAP.format(mixed=MIXED * any(result.mixed for result in nets)): validated,
        "Losses are comparable only for the same loss function.": True,
    }
    return " ".join(text for text, there in said.items() if there)


def _name(result: Result, folder: Path) -> Cell:
    text = f"{'★ ' * result.best}{result.name}"
    return text if result.report is None else Link.to(result.report, text, folder)


def _seeds(result: Result) -> str:
    return count(result.n) if result.n == result.asked else f"{result.n} of {result.asked}"


def _test(result: Result) -> str:
    return f"{_mean(result.test)} ({interval(result.interval)})" if result.interval else _mean(result.test)


def _mean(found: Spread | None) -> str:
    return UNDEFINED if found is None else plus_minus(found)


def _share(found: Spread | None) -> str:
    return percent(found.mean if found else None, 2)


def _epochs(result: Result) -> str:
    if result.epochs is None or result.kept is None:
        return UNDEFINED
    ran, kept = (f"{low}" if low == high else f"{low}{DASH}{high}" for low, high in (result.epochs, result.kept))
    return f"{ran} ({UNDEFINED if kept == '0' else kept})"


def _beside(ours: Spread | None, number: float | None) -> str:
    """A number to stand beside ours, and how that stands to it."""
    if number is None:
        return DASH
    return percent(number, 2) if ours is None else f"{percent(number, 2)} {MARKS[standing(ours, number)]}"


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd results, by what is odd."""
    single = Result(
        name="<b>",
        best=True,
        asked=1,
        n=1,
        published=0.95,
        published_validation=None,
        beside={"constructor": 0.9},
        test=Spread(1, 0.9, None),
        interval=(0.85, 0.94),
        training=Spread(1, 1.0, None),
        loss=Spread(1, 1e30, None),
        recorded={"parameters.total": 61_706, "multiply_adds": 0},
        epochs=(0, 0),
        kept=(0, 0),
        report=Path("<b>/report.html"),
    )
    seeds = replace(single, name="seeds", best=False, asked=5, n=4, test=Spread(4, 0.9, 0.01), interval=None)
    seeds = replace(seeds, epochs=(3, 10), kept=(2, 9), validation=Spread(4, 0.9, 0.01), gap=-0.1, report=None)
    nothing = Result("nothing", best=False, asked=2, n=0, published=0.9, published_validation=0.91, beside={})
    return {
        "a single run": (table([single]),),
        "seeds, and one that was not tried": (table([single, seeds, nothing]),),
    }
