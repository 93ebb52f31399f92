"""The test accuracy of every seed or fold of each run, with the mean of several, and what is published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import altair as alt

from firstlight.evaluation.scores import Interval
from firstlight.records.group import Group, present, varied
from firstlight.report.document import Block, Chart, Section
from firstlight.report.format import THIN, interval, percent
from firstlight.report.render.vega import NAMES, SHARE, Values, data, even, finish, run_colour
from firstlight.text import listed
from firstlight.types import Json

KIND = "accuracy"
PUBLISHED = "published"


@dataclass(frozen=True)
class Accuracies:
    """The test accuracies of a group.

    by_run    of each seed or fold, by what it is called
    mean      of several
    interval  of a single run, the 95 % interval over its test images
    others    the published number and others to stand beside it, by what they are
    """

    by_run: Mapping[str, float]
    mean: float | None = None
    interval: Interval | None = None
    others: Mapping[str, float] = field(default_factory=dict)
    noun: str = "seed"


def numbers(groups: Sequence[Group]) -> dict[str, Accuracies]:
    """The accuracies of each group that has a run, by its name."""
    return {group.name: _accuracies(group) for group in present(groups)}


def _accuracies(group: Group) -> Accuracies:
    published = {} if group.published is None else {PUBLISHED: group.published}
    several = len(group.averaged) > 1
    return Accuracies(
        {group.title(key): accuracy for key, accuracy in group.accuracies.items()},
        mean=group.accuracy.mean if several else None,
        interval=None if several else group.first.test.accuracy_interval,
        others={**published, **group.beside},
        noun=group.noun,
    )


def chart(found: Mapping[str, Accuracies], graded: bool = False) -> Json:
    """A dot a run, an upright line at the mean of several, a whisker of a single one; open marks for other numbers.

    graded  whether the colours of the groups go from one end to the other, as steps of one setting
    """
    seeds: Values = []
    means: Values = []
    whiskers: Values = []
    others: Values = []
    for run, a in found.items():
        seeds += [_row(run, title, value) for title, value in a.by_run.items()]
        if a.mean is not None:
            means.append(_row(run, "mean", a.mean))
        if a.interval is not None:
            low, high = a.interval
            whiskers.append({"run": run, "low": low, "high": high, "interval": interval(a.interval)})
        others += [{**_row(run, what, value), "mark": what == PUBLISHED} for what, value in a.others.items()]
    ends = [row[end] for row in whiskers for end in ("low", "high")]
    scale = even([[*ends, *(row["accuracy"] for row in [*seeds, *others])]], most=1, padding=8)
    colour = run_colour(list(found), legend=False, graded=graded)

    def marks(values: Values, x: str, *tooltip: str | alt.Tooltip) -> alt.Chart:
        return alt.Chart(data(values)).encode(
            x=alt.X(f"{x}:Q", title="test accuracy", scale=scale, axis=SHARE),
            y=alt.Y("run:N", title=None, scale=alt.Scale(domain=list(found)), axis=NAMES),
            tooltip=["run:N", *tooltip],
        )

    told = (alt.Tooltip("what:N", title="which"), alt.Tooltip("shown:N", title="test accuracy"))
    layers = []
    if whiskers:
        shown = alt.Tooltip("interval:N", title=f"95{THIN}% interval")
        layers.append(marks(whiskers, "low", shown).mark_rule(strokeWidth=2).encode(x2="high:Q", color=colour))
    if means:
        layers.append(marks(means, "accuracy", *told).mark_tick(thickness=2.5, height=18).encode(color=colour))
    layers.append(marks(seeds, "accuracy", *told).mark_point(filled=True, size=55, opacity=0.6).encode(color=colour))
    if others:
        shape = alt.Shape(
            "mark:N", legend=None, scale=alt.Scale(domain=[True, False], range=["diamond", "triangle-up"])
        )
        open_marks = marks(others, "accuracy", *told).mark_point(size=90, stroke="var(--ink)", strokeWidth=1.5)
        layers.append(open_marks.encode(shape=shape))
    return finish(alt.layer(*layers), height=max(120, 30 * len(found)))


def _row(run: str, what: str, accuracy: float) -> Json:
    return {"run": run, "what": what, "accuracy": accuracy, "shown": percent(accuracy, 2)}


def caption(found: Mapping[str, Accuracies]) -> str:
    """What the marks are, and what to look for."""
    several, single = any(a.mean is not None for a in found.values()), any(a.interval for a in found.values())
    noun = next(iter(found.values())).noun
    overlap = " and ".join(["the dots"] * several + ["the intervals"] * single)
    said = {
        f"Each dot is one {noun}.": True,
        f"An upright line is the mean of several {noun}s.": several,
        f"Whiskers are the 95{THIN}% interval of a single run.": single,
        "◇ is the published number, and a triangle another one for comparison.": any(a.others for a in found.values()),
        f"Look first whether {overlap} overlap.": len(found) > 1,
    }
    return " ".join(text for text, there in said.items() if there)


def blocks(found: Mapping[str, Accuracies], graded: bool = False) -> tuple[Block, ...]:
    """The chart of all groups; `graded` as for `chart`."""
    drawn = Chart(
        spec=chart(found, graded),
        description=f"Test accuracy of every {next(iter(found.values())).noun} of each run{_also(found)}.",
        caption=caption(found),
        width=720,
        kind=KIND,
    )
    return (drawn,)


def section(groups: Sequence[Group]) -> Section | None:
    """The chart of all groups."""
    if not present(groups):
        return None
    return Section("Accuracy", "accuracy", blocks(numbers(groups), graded=varied(groups) is not None))


def _also(found: Mapping[str, Accuracies]) -> str:
    parts = {
        "the mean": any(a.mean is not None for a in found.values()),
        "the interval of a single one": any(a.interval is not None for a in found.values()),
        "the published and other numbers": any(a.others for a in found.values()),
    }
    shown = [name for name, there in parts.items() if there]
    return f", with {listed(shown)}" if shown else ""


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd accuracies, by what is odd."""
    single = Accuracies({"seed 0": 0.9}, interval=(0.85, 0.94))
    seeds = Accuracies({"seed 0": 0.9, "seed 7": 0.8}, mean=0.85, others={PUBLISHED: 0.95, "constructor": 0.1})
    return {
        "a single run": blocks({"<b>": single}),
        "all are right": blocks({"a": Accuracies({"fold 1": 1.0, "fold 2": 1.0}, mean=1.0, noun="fold")}),
        "single runs and seeds": blocks({"<b>": single, "toString": seeds}),
        "steps of a setting": blocks({str(n): single for n in range(5)}, graded=True),
    }
