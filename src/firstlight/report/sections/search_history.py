"""The history of a search: the value of each trial in their order, and the best so far."""

from __future__ import annotations

from dataclasses import dataclass, replace

import altair as alt

from firstlight.evaluation.metrics import in_words
from firstlight.records.search_folder import Tuned
from firstlight.report.document import Block, Chart, Section
from firstlight.report.render.vega import SERIES, Values, data, finish
from firstlight.report.trials import Mark, ended, judged, layer, outcome_axis
from firstlight.types import Json

HEIGHT = 240
SAMPLERS = {
    "tpe": "TPE sampled the first ten at random, then near earlier ones that did well: the dots should improve.",
    "random": "Every trial was sampled at random, independently of the others.",
    "grid": "The points of the grid were tried in a random order, by seed.",
}


@dataclass(frozen=True)
class History:
    """What trials came to, one after the other.

    monitor  what they are judged by, as the experiment has it
    best     the best of the complete ones up to each trial, from the first complete one on
    last     the number of the last trial
    failed   whether trials that failed are left out
    """

    monitor: str
    sampler: str
    marks: list[Mark]
    best: list[tuple[int, float]]
    last: int
    failed: bool


def numbers(tuned: Tuned) -> History:
    """Those of a search of which a trial is complete."""
    best: list[tuple[int, float]] = []
    for trial in tuned.trials:
        top = best[-1][1] if best else None
        if trial.state == "complete" and trial.value is not None:
            better = top is None or (trial.value > top if tuned.maximise else trial.value < top)
            top = trial.value if better else top
        if top is not None:
            best.append((trial.number, top))
    return History(
        monitor=tuned.monitor,
        sampler=tuned.sampler,
        marks=[Mark(t.number, value, t.state, t.epochs, t.number) for t, value in judged(tuned)],
        best=best,
        last=max(trial.number for trial in tuned.trials),
        failed=any(trial.value is None or trial.state == "failed" for trial in ended(tuned)),
    )


def chart(found: History) -> Json:
    """A mark per trial, and the best so far as a staircase."""

    def x(field: str) -> alt.X:
        return alt.X(
            f"{field}:Q",
            title="trial",
            scale=alt.Scale(domain=[0.5, found.last + 0.5], nice=False),
            axis=alt.Axis(format="d", tickMinStep=1, grid=False),
        )

    stairs: Values = [{"trial": trial, "value": value} for trial, value in found.best]
    line = (
        alt.Chart(data(stairs))
        .mark_line(interpolate="step-after", strokeWidth=2, color=SERIES[1])
        .encode(x=x("trial"), y=outcome_axis(found.monitor, found.marks))
    )
    return finish(alt.layer(line, layer(found.monitor, found.marks, x("place"))), height=HEIGHT)


def caption(found: History) -> str:
    """What the marks are, and how the trials were drawn."""
    said = ["A dot is a trial that ran to its end; the line is the best so far."]
    if any(mark.state == "pruned" for mark in found.marks):
        said.append(
            "A cross is a trial that was stopped early: its value is that of the epoch at which it was stopped."
        )
    if found.failed:
        said.append("Trials that failed are left out.")
    return " ".join([*said, SAMPLERS[found.sampler]])


def blocks(found: History) -> tuple[Block, ...]:
    """The chart."""
    description = f"The {in_words(found.monitor)} of each trial, and the best so far."
    return (Chart(spec=chart(found), description=description, caption=caption(found), width=720),)


def section(tuned: Tuned) -> Section:
    """The history of a search of which a trial is complete."""
    return Section("History of the search", "history", blocks(numbers(tuned)))


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd searches, by what is odd."""
    marks = [Mark(n, value, state, 3, n) for n, value, state in ((1, 0.5, "complete"), (2, 0.9, "pruned"))]
    found = History("val_accuracy", "tpe", marks, [(1, 0.5), (2, 0.5)], 3, failed=True)
    losses = [replace(mark, value=10.0 ** (4 * mark.trial)) for mark in marks]
    return {
        "stopped and failed": blocks(found),
        "one trial": blocks(replace(found, marks=marks[:1], best=[(1, 0.5)], last=1, failed=False)),
        "losses spread wide": blocks(replace(found, monitor="val_loss", sampler="grid", marks=losses)),
    }
