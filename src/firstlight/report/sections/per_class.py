"""The accuracy of each class: of one run with its precision, or of several with what sets them apart from the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt
import numpy as np

from firstlight.evaluation import ClassScore, Evaluation, Spread, measure
from firstlight.records.group import Group, leader, noun, present, selected
from firstlight.report.document import Block, Chart, Section, Table
from firstlight.report.format import THIN, UNDEFINED, count, counted, decimal, interval, percent, plus_minus
from firstlight.report.render.vega import (
    SERIES,
    SHARE,
    class_axis,
    class_row,
    data,
    even,
    finish,
    named,
    run_colour,
    run_shape,
)
from firstlight.report.tasks import by_task
from firstlight.types import Json, Predictions

KIND = "per-class"
TITLE = "Class by class"
CLASSES = 20  # so many classes are told by numbers; of more, those in which the groups differ most
DOTS_UP_TO = len(SERIES)  # groups: the marks of more of them could not be told apart
NUMBERS_UP_TO = 6  # groups beside the leader whose differences have room for a number
STRONG = 0.1  # a difference of accuracy that has the full colour

Shares = Sequence[float | None]


@dataclass(frozen=True)
class ClassAccuracies:
    """The accuracy of each class, over the runs of each group of a task; None for a class without test images.

    leader       the group that differences are to, and whether it was chosen by validation
    accuracies   by group, a number or a mean a class
    differences  by each other group that shares a seed or fold with the leader, its accuracies less the leader's, over
                 those of both: another one may be another split
    noun         what there are several of: "seed", "fold"
    """

    class_names: tuple[str, ...]
    leader: str
    chosen: bool
    accuracies: Mapping[str, Sequence[Spread | None]]
    differences: Mapping[str, Shares]
    noun: str = "seed"

    @property
    def means(self) -> dict[str, Shares]:
        return {name: [value.mean if value else None for value in values] for name, values in self.accuracies.items()}

    @property
    def ranges(self) -> list[float]:
        """By how much the groups differ in each class, from the least to the greatest accuracy."""
        table = np.array([[np.nan if value is None else value for value in values] for values in self.means.values()])
        return np.where(np.isnan(table).any(axis=0), 0.0, np.ptp(table, axis=0)).tolist()

    @property
    def telling(self) -> list[int]:
        """The classes to tell of by numbers, in their order: all, or those in which the groups differ most."""
        return sorted(np.argsort(-np.array(self.ranges), kind="stable")[:CLASSES].tolist())


def numbers(task: Sequence[Group]) -> ClassAccuracies:
    """Those of the groups of a task."""
    ahead = leader(task)
    differences = {}
    for group in task:
        common = set(group.averaged) & set(ahead.averaged)
        if group is not ahead and common:
            pairs = zip(group.class_accuracies(common), ahead.class_accuracies(common), strict=True)
            differences[group.name] = [a.mean - b.mean if a and b else None for a, b in pairs]
    accuracies = {group.name: group.class_accuracies() for group in task}
    return ClassAccuracies(ahead.task[1], ahead.name, selected(task), accuracies, differences, noun(task))


def differences_chart(found: ClassAccuracies) -> Json:
    """By how much each group recognizes each class better or worse than the leader: a column per group."""
    rows = [
        {
            "class": found.class_names[k],
            "run": run,
            "difference": values[k],
            "shown": f"{100 * value:+.1f}".replace("-", "−").replace("+0.0", "0.0").replace("−0.0", "0.0"),
            "strength": min(1.0, abs(value) / STRONG),
            "better": value > 0,
        }
        for run, values in found.differences.items()
        for k in found.telling
        if (value := values[k]) is not None
    ]
    runs, names = list(found.differences), [found.class_names[k] for k in found.telling]
    across = alt.Axis(orient="top", labelAngle=-40, labelLimit=130, domain=False, ticks=False)
    down = alt.Axis(labelLimit=110, domain=False, ticks=False)
    base = alt.Chart(data(rows)).encode(
        x=alt.X("run:N", title=None, scale=alt.Scale(domain=runs, paddingInner=0.04, paddingOuter=0), axis=across),
        y=alt.Y("class:N", title=None, scale=alt.Scale(domain=names, paddingInner=0.08), axis=down),
        tooltip=["class:N", "run:N", alt.Tooltip("shown:N", title="difference, points")],
    )
    cells = base.mark_rect().encode(
        fill=alt.Fill("better:N", legend=None, scale=alt.Scale(domain=[True, False], range=[*SERIES[:2]])),
        fillOpacity=alt.FillOpacity("strength:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0, 0.6])),
    )
    layers = [cells]
    if len(runs) <= NUMBERS_UP_TO:
        layers.append(base.mark_text().encode(text="shown:N"))
    spec = finish(alt.layer(*layers), height={"step": 24})
    spec["view"] = {"fill": "var(--wash)", "stroke": None}
    return spec


def differences_caption(found: ClassAccuracies) -> str:
    """Where the greatest difference is."""
    sizes = [
        (abs(value), name, run)
        for run, values in found.differences.items()
        for name, value in zip(found.class_names, values, strict=True)
        if value is not None
    ]
    size, name, run = max(sizes, default=(0.0, "", ""))
    most = f"It is greatest in {run}, class {name}: {100 * size:.1f} points." if size else "There is no difference."
    return (
        f"The accuracy of each class minus that in {_to(found)}, over the {found.noun}s of both, in percentage points: "
        f"blue is better, orange worse, in full colour from ten on. {most}{_left_out(found)}"
    )


def _to(found: ClassAccuracies) -> str:
    return f"{found.leader}, {'the best by validation' if found.chosen else 'the first'}"


def _left_out(found: ClassAccuracies) -> str:
    return f" Shown are the {CLASSES} classes that differ most." if len(found.class_names) > CLASSES else ""


def chart(found: ClassAccuracies) -> Json:
    """The accuracy of each class in each group: a row per class, a mark per group."""
    means, names = found.means, found.class_names
    rows = [
        {"run": run, "class": name, "accuracy": value}
        for run, values in means.items()
        for name, value in zip(names, values, strict=True)
        if value is not None
    ]
    runs = list(means)
    base = alt.Chart(data(rows)).encode(
        x=alt.X("accuracy:Q", title="accuracy (recall)", scale=even([*means.values()], most=1), axis=SHARE),
        y=class_axis(names, alt.Axis(domain=False, ticks=False, labelPadding=6, grid=True, tickBand="extent")),
    )
    dots = base.mark_point(filled=True, size=60 if named(len(names)) else 12, opacity=1).encode(
        yOffset=alt.YOffset("run:N", scale=alt.Scale(domain=runs, paddingOuter=0.6)),
        color=run_colour(runs),
        shape=run_shape(runs),
        tooltip=["class:N", "run:N", alt.Tooltip("accuracy:Q", format=".1%")],
    )
    return finish(dots, height=class_row(len(names), max(24, 9 * len(runs))) * len(names))


def caption(found: ClassAccuracies) -> str:
    """The class on which the groups differ most."""
    k = int(np.argmax(found.ranges))
    if len(found.accuracies) < 2 or not found.ranges[k]:
        return "The accuracy of each class."
    by_run = {run: value for run, values in found.means.items() if (value := values[k]) is not None}
    low, high = min(by_run, key=lambda run: by_run[run]), max(by_run, key=lambda run: by_run[run])
    return (
        f"The runs differ most on {found.class_names[k]}: from {percent(by_run[low])} ({low}) to "
        f"{percent(by_run[high])} ({high}). A class whose marks all lie far to the left is hard for every model; look "
        "at its images and labels."
    )


def table(found: ClassAccuracies) -> Table:
    """The accuracy of each class, a column per group."""
    several = any(value is not None and value.n > 1 for values in found.accuracies.values() for value in values)
    return Table(
        titles=("class", *found.accuracies),
        rows=tuple(
            (found.class_names[k], *(_share(values[k]) for values in found.accuracies.values())) for k in found.telling
        ),
        right=frozenset(range(1, len(found.accuracies) + 1)),
        caption=f"The accuracy (recall) of each class{f', mean ± standard deviation over the {found.noun}s' * several}."
        f"{_left_out(found)}",
    )


def _share(value: Spread | None) -> str:
    return UNDEFINED if value is None else plus_minus(value)


# --- one run


def bars_chart(scores: Sequence[ClassScore], overall: float) -> Json:
    """The accuracy of each class with its interval, the best first; a line marks the accuracy over all images."""
    ranked = sorted((s for s in scores if s.accuracy is not None), key=lambda s: -(s.accuracy or 0))
    rows = [
        {
            "class": s.name,
            "accuracy": s.accuracy,
            "low": s.accuracy_interval[0] if s.accuracy_interval else None,
            "high": s.accuracy_interval[1] if s.accuracy_interval else None,
            "shown": percent(s.accuracy),
            "interval": interval(s.accuracy_interval),
            "images": s.support,
        }
        for s in ranked
    ]
    base = alt.Chart(data(rows)).encode(
        y=class_axis([s.name for s in ranked]),
        tooltip=[
            "class:N",
            alt.Tooltip("shown:N", title="accuracy"),
            alt.Tooltip("interval:N", title="95\u202f% interval"),
            alt.Tooltip("images:Q", format=",d"),
        ],
    )
    x = alt.X("accuracy:Q", title="accuracy (recall)", scale=alt.Scale(domain=[0, 1]), axis=SHARE)
    bars = base.mark_bar(opacity=0.75, height={"band": 0.72}).encode(x=x)
    stroke = 2 if named(len(ranked)) else 0.7
    whiskers = base.mark_rule(strokeWidth=stroke, color="var(--ink)").encode(x=alt.X("low:Q"), x2="high:Q")
    numbers = [base.mark_text(align="left", dx=8).encode(x=alt.datum(1), text="shown:N")] if named(len(ranked)) else []
    line = (
        alt.Chart(data([{"overall": overall}]))
        .mark_rule(strokeDash=[3, 3])
        .encode(x="overall:Q", tooltip=[alt.Tooltip("overall:Q", title="accuracy over all images", format=".1%")])
    )
    spec = finish(alt.layer(bars, line, whiskers, *numbers), height={"step": class_row(len(ranked), 22)})
    spec["padding"] = {"left": 4, "top": 4, "bottom": 4, "right": 58}
    return spec


def bars_caption(test: Evaluation) -> str:
    """The easiest and the hardest class."""
    known = [s for s in test.classes if s.accuracy is not None]
    hardest = min(known, key=lambda s: s.accuracy or 0)
    easiest = max(known, key=lambda s: s.accuracy or 0)
    equal = sum(s.accuracy == easiest.accuracy for s in known)
    if hardest.accuracy == easiest.accuracy:
        said = f"Every class reaches {percent(hardest.accuracy)}."
    elif equal > 1:
        said = f"Hardest is {_scored(hardest)}; {counted(equal, 'class')} reach {percent(easiest.accuracy)}."
    else:
        said = f"Hardest is {_scored(hardest)}, easiest {_scored(easiest)}."
    return (
        f"{said} Whiskers are 95{THIN}% intervals: classes whose whiskers overlap far may well be equally hard. "
        f"The dashed line is the accuracy over all images, {percent(test.accuracy)}."
    )


def _scored(score: ClassScore) -> str:
    return f"{score.name} with {percent(score.accuracy)} ({interval(score.accuracy_interval)})"


def report(test: Evaluation) -> Table:
    """Precision, recall and F1 of each class, and their means."""
    rows: list[tuple[str, ...]] = [
        (s.name, decimal(s.precision, 3), decimal(s.recall, 3), decimal(s.f1, 3), count(s.support))
        for s in test.classes
    ]
    for name, mean in (("macro average", test.macro), ("weighted average", test.weighted)):
        means = (decimal(value, 3) for value in (mean.precision, mean.recall, mean.f1))
        rows.append((name, *means, count(mean.support)))
    return Table(
        titles=("class", "precision", "recall", "F1", "support"),
        rows=tuple(rows),
        right=frozenset({1, 2, 3, 4}),
        strong=frozenset({len(rows) - 2, len(rows) - 1}),
        caption="Precision: of the images predicted as this class, the share that belongs to it. Recall: of the "
        "images of this class, the share that was predicted as it. F1 is their harmonic mean, support the number of "
        "test images. The macro average counts each class the same, the weighted one by its support.",
    )


def of_run(test: Evaluation) -> tuple[Block, ...]:
    """The accuracy of each class with its interval, and the classification report."""
    described = "Accuracy of each class with its interval."
    bars = Chart(bars_chart(test.classes, test.accuracy), described, bars_caption(test), width=640, kind=KIND)
    return bars, report(test)


# --- the section


def section(groups: Sequence[Group]) -> Section | None:
    """Class by class, for each task."""
    there = present(groups)
    if not there:
        return None
    pooled = there[0].pooled if len(there) == 1 else None
    if pooled is not None:
        return Section(TITLE, "classes", of_run(pooled))
    return by_task(TITLE, "classes", there, lambda task: blocks(numbers(task)))


def blocks(found: ClassAccuracies) -> tuple[Block, ...]:
    """The differences to the leader, the accuracies as marks where these can be told apart, and as numbers."""
    made: list[Block] = []
    if found.differences:
        made.append(
            Chart(
                spec=differences_chart(found),
                description=f"The accuracy of each class in each run minus that in {_to(found)}.",
                caption=differences_caption(found),
                width=max(360, 140 + 90 * len(found.differences)),
                kind=KIND,
            )
        )
    if len(found.accuracies) <= DOTS_UP_TO:
        made.append(
            Chart(
                spec=chart(found),
                description="Accuracy of each class in each run.",
                caption=caption(found),
                width=640,
                kind=KIND,
            )
        )
    return (*made, table(found))


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd accuracies, by what is odd."""

    def odd(groups: int, classes: int) -> tuple[Block, ...]:
        names = tuple(f"class <{k}>" for k in range(classes))
        shares = {f"run {n}": [None, *(k / classes for k in range(1, classes))] for n in range(groups)}
        spreads = {run: [None if v is None else Spread(2, v, 0.01) for v in values] for run, values in shares.items()}
        less = {run: [None, *[0.001 - 0.01 * k for k in range(1, classes)]] for run in list(shares)[1:]}
        return blocks(ClassAccuracies(names, "run 0", True, spreads, less))

    labels = np.arange(6) % 3
    certain = Predictions(labels.astype(str), labels, np.eye(3, dtype=np.float32)[labels])
    wrong = Predictions(labels.astype(str), labels * 0, np.eye(3, dtype=np.float32)[(labels + 1) % 3])
    names = ("cat", "<b>", "constructor")
    return {
        "one run without mistakes": of_run(measure(certain, names, 0.1)),
        "one run with classes that have no images": of_run(measure(wrong, names, 9.9)),
        "one group": odd(1, 3),
        "several": odd(3, 5),
        "more groups and classes than are told by numbers": odd(10, 30),
        "more classes than have room for names": odd(2, 70),
    }
