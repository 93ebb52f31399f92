"""Further metrics that runs were asked for: on validation and test images, over seeds or folds, and epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import altair as alt
import numpy as np

from firstlight.evaluation import MetricScore, Spread, spread
from firstlight.evaluation.scores import Interval
from firstlight.records.group import Group, present, varied
from firstlight.records.run import RunRecord
from firstlight.report.document import Beside, Block, Chart, Section, Table, Text
from firstlight.report.format import DASH, THIN, measured, measured_interval
from firstlight.report.render.vega import (
    NUMBER,
    SHARE,
    Values,
    data,
    epoch_axis,
    epoch_range,
    even,
    finish,
    plain,
    run_colour,
)
from firstlight.report.tasks import by_task
from firstlight.text import capitalized, listed
from firstlight.types import Array, Json

ABSENT = 6  # classes that are named


@dataclass(frozen=True, eq=False)
class Measured:
    """What a metric came to for a recipe.

    test, validation  over its runs; None where none of them has a number
    interval          the 95 % interval on the test images, of a single run
    trouble           why a run has no number, where one has none
    curve             its mean over the runs by epoch, float64 (E,), on the validation images; None where there is none
    """

    test: Spread | None = None
    validation: Spread | None = None
    interval: Interval | None = None
    trouble: str = ""
    curve: Array | None = None


@dataclass(frozen=True, eq=False)
class Metrics:
    """The metrics of recipes that were tested on the same images.

    shown   a score of each metric, which says how it is shown, by name
    found   of each recipe, by the metric's name
    runs    how many runs of each recipe
    noun    what these are: "seed", or "fold"
    absent  classes of which some run has no test image
    """

    shown: Mapping[str, MetricScore]
    found: Mapping[str, Mapping[str, Measured]]
    runs: Mapping[str, int]
    noun: str = "seed"
    absent: tuple[str, ...] = ()

    @property
    def alone(self) -> bool:
        """Whether this is a single run."""
        return [*self.runs.values()] == [1]


def numbers(groups: Sequence[Group]) -> Metrics:
    """Those of groups of one task, of each of which there is at least one run."""
    shown = {score.name: score for group in groups for run in _runs(group) for score in run.test.scores}
    return Metrics(
        shown=shown,
        found={group.name: {name: _measured(group, name) for name in shown} for group in groups},
        runs={group.name: len(_runs(group)) for group in groups},
        noun=groups[0].noun,
        absent=_absent(groups),
    )


def _runs(group: Group) -> list[RunRecord]:
    return [*group.averaged.values()]


def _measured(group: Group, name: str) -> Measured:
    runs = _runs(group)
    of_test = [score for run in runs for score in run.test.scores if score.name == name]
    validated = [run.validation.metrics.get(name) for run in runs if run.validation is not None]
    curve = group.curve(f"val_{name}")["mean"]
    return Measured(
        test=_spread([score.value for score in of_test], len(runs)),
        validation=_spread(validated, len(runs)),
        interval=of_test[0].interval if len(of_test) == len(runs) == 1 else None,
        trouble=next((score.trouble for score in of_test if score.trouble), ""),
        curve=curve if np.isfinite(curve).any() else None,
    )


def _spread(values: Sequence[float | None], runs: int) -> Spread | None:
    """Over the runs, where each has a number: a mean over those that worked would flatter."""
    known = [value for value in values if value is not None]
    return spread(known) if known and len(known) == runs else None


def _absent(groups: Sequence[Group]) -> tuple[str, ...]:
    found = {
        score.name: None for group in groups for run in _runs(group) for score in run.test.classes if not score.support
    }
    return tuple(found)


# --- the table


def table(found: Metrics) -> Table:
    """Of a single run a row for each metric, of several recipes a row for each of them."""
    caption = _caption(found)
    if found.alone:
        (of,) = found.found.values()
        validated = any(each.validation for each in of.values())
        titles = ("metric", *["validation"] * validated, "test")
        rows = tuple(
            (
                capitalized(shown.title),
                *[_text(shown, of[metric].validation)] * validated,
                _test(shown, of[metric]),
            )
            for metric, shown in found.shown.items()
        )
    else:
        titles = ("run", *(capitalized(shown.title) for shown in found.shown.values()))
        rows = tuple(
            (name, *(_test(shown, of[metric]) for metric, shown in found.shown.items()))
            for name, of in found.found.items()
        )
    return Table(titles=titles, rows=rows, right=frozenset(range(1, len(titles))), caption=caption)


def _test(shown: MetricScore, found: Measured) -> str:
    text = _text(shown, found.test)
    return f"{text} ({measured_interval(shown, found.interval)})" if found.interval else text


def _text(shown: MetricScore, found: Spread | None) -> str:
    return DASH if found is None else measured(shown, found)


def _caption(found: Metrics) -> str:
    several = any(n > 1 for n in found.runs.values())
    intervals = any(each.interval for of in found.found.values() for each in of.values())
    lower = [shown.title for shown in found.shown.values() if not shown.higher_is_better]
    said = {
        "On the test images.": not found.alone,
        f"Means over the {found.noun}s, with the standard deviation (±).": several,
        f"In brackets the 95{THIN}% interval over the test images, by bootstrap of the confusion matrix; not every "
        "metric has one.": intervals,
        f"Lower is better for {listed(lower)}, higher for the others.": bool(lower) and len(lower) < len(found.shown),
        f"Lower is better for {listed(lower)}.": bool(lower) and len(lower) == len(found.shown),
    }
    return " ".join(text for text, there in said.items() if there)


# --- the curves


def chart(found: Metrics, name: str, graded: bool = False) -> Json:
    """A metric on the validation images by epoch, a line for each recipe."""
    shown = found.shown[name]
    curves = {run: curve for run, of in found.found.items() if (curve := of[name].curve) is not None}
    rows: Values = [
        {"run": run, "epoch": epoch, "value": value}
        for run, curve in curves.items()
        for epoch, value in enumerate(plain(curve), 1)
    ]
    y = alt.Y(
        "value:Q",
        title=f"validation {shown.title}",
        scale=even([*curves.values()], most=1) if shown.percent else even([*curves.values()]),
        axis=SHARE if shown.percent else NUMBER,
    )
    form = ".2%" if shown.percent else ".4~g"
    base = alt.Chart(data(rows)).encode(
        x=epoch_axis(epoch_range(rows)),
        y=y,
        color=run_colour([*curves], legend=len(curves) > 1, graded=graded),
        tooltip=["run:N", "epoch:Q", alt.Tooltip("value:Q", title=shown.title, format=form)],
    )
    layers = [base.mark_line(strokeWidth=2), base.mark_point(filled=True, size=34, opacity=1)]
    return finish(alt.layer(*layers), height=200)


def caption(found: Metrics) -> str:
    """What the curves are, and what each metric is."""
    several = f", means over the {found.noun}s" if any(n > 1 for n in found.runs.values()) else ""
    return f"On the validation images after each epoch{several}."


# --- the section


def section(groups: Sequence[Group]) -> Section | None:
    """The table and the curves, for each task in which a run was asked for further metrics."""
    if not any(run.test.scores for group in present(groups) for run in _runs(group)):
        return None
    graded = varied(groups) is not None
    return by_task("Metrics", "metrics", groups, lambda task: blocks(numbers(task), graded))


def blocks(found: Metrics, graded: bool = False) -> tuple[Block, ...]:
    """What each metric is, and what there is to know of classes without images, stands below."""
    if not found.shown:
        return ()
    drawn = [name for name in found.shown if any(of[name].curve is not None for of in found.found.values())]
    charts = tuple(
        Chart(
            spec=chart(found, name, graded),
            description=f"The {found.shown[name].title} on the validation images by epoch.",
            width=440,
        )
        for name in drawn
    )
    notes = [f"{capitalized(each.title)}: {each.about}" for each in found.shown.values() if each.about]
    texts = [Text(" ".join(notes), tone="note")] if notes else []
    if found.absent:
        texts.append(
            Text(
                f"There are no test images of {listed(list(found.absent), most=ABSENT)}. A metric that is a mean over "
                "classes leaves them out.",
                tone="note",
            )
        )
    troubles = {
        f"{capitalized(found.shown[name].title)} of {run} has no number: {each.trouble}."
        for run, of in found.found.items()
        for name, each in of.items()
        if each.trouble
    }
    texts += [Text(text, tone="warning") for text in sorted(troubles)]
    return (table(found), *([Beside(charts, caption(found))] if charts else []), *texts)


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd metrics, by what is odd."""
    shown = {
        "macro-auc": MetricScore("macro-auc", "macro AUC", "An area."),
        "<b>": MetricScore("<b>", "<b>", percent=True, higher_is_better=False),
    }
    one = Measured(Spread(1, 0.9, None), Spread(1, 0.8, None), (0.85, 0.95), curve=np.array([0.5, np.nan, 0.8]))
    none = Measured(trouble="it raised ValueError: <b>")
    seeds = replace(one, test=Spread(3, 0.9, 0.01), interval=None)
    single = Metrics(shown, {"<b>": {"macro-auc": one, "<b>": none}}, {"<b>": 1}, absent=("constructor",))
    of_several = {"a": {"macro-auc": seeds, "<b>": one}, "b": {"macro-auc": none, "<b>": none}}
    return {
        "a single run, one without a number": blocks(single),
        "several recipes": blocks(Metrics(shown, of_several, {"a": 3, "b": 1})),
        "one epoch of one": blocks(
            replace(single, found={"<b>": {"macro-auc": replace(one, curve=np.array([0.5])), "<b>": one}})
        ),
    }
