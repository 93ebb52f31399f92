"""The charts that lay several runs over one another. A run keeps its colour and its shape in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt

from firstlight.evaluation import Evaluation
from firstlight.report.format import interval, percent
from firstlight.report.render.vega import (
    NAMES,
    SERIES,
    SHAPES,
    SHARE,
    Values,
    class_axis,
    class_row,
    data,
    epoch_axis,
    epoch_range,
    even,
    finish,
    loss_axis,
    named,
    plain,
    share_axis,
)
from firstlight.types import Array, Json


def overlaid(columns: Mapping[str, Mapping[str, Array]], column: str, title: str, share: bool = False) -> Json:
    """One column of the history of several runs; at least one of them has a complete epoch."""
    rows: Values = []
    y, form = (share_axis if share else loss_axis)(title, [history[column] for history in columns.values()])
    for run, history in columns.items():
        values = zip(plain(history["epoch"]), plain(history[column]), strict=True)
        rows += [{"run": run, "epoch": epoch, "value": value} for epoch, value in values]
    base = alt.Chart(data(rows)).encode(
        x=epoch_axis(epoch_range(rows)),
        y=y,
        color=run_colour(list(columns)),
        shape=run_shape(list(columns)),
        tooltip=["run:N", "epoch:Q", alt.Tooltip("value:Q", title=title, format=form)],
    )
    chart = alt.layer(base.mark_line(strokeWidth=2), base.mark_point(filled=True, size=34, opacity=1))
    return finish(chart, height=260)


def accuracies(evaluations: Mapping[str, Evaluation]) -> Json:
    """The test accuracy of each run with its interval."""
    rows = [
        {
            "run": run,
            "accuracy": e.accuracy,
            "low": e.accuracy_interval[0],
            "high": e.accuracy_interval[1],
            "shown": percent(e.accuracy),
            "interval": interval(e.accuracy_interval),
        }
        for run, e in evaluations.items()
    ]
    runs = list(evaluations)
    base = alt.Chart(data(rows)).encode(
        y=alt.Y("run:N", title=None, scale=alt.Scale(domain=runs), axis=NAMES),
        color=run_colour(runs, legend=False),
        tooltip=[
            "run:N",
            alt.Tooltip("shown:N", title="test accuracy"),
            alt.Tooltip("interval:N", title="95\u202f% interval"),
        ],
    )
    x = alt.X("low:Q", title="test accuracy, 95\u202f% interval", scale=alt.Scale(zero=False), axis=SHARE)
    whiskers = base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q")
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(x="accuracy:Q", shape=run_shape(runs, legend=False))
    return finish(alt.layer(whiskers, dots), height=max(240, 26 * len(runs)))


def against_parameters(evaluations: Mapping[str, Evaluation], parameters: Mapping[str, int]) -> Json:
    """Test accuracy against the number of parameters, which grows tenfold a step."""
    rows = [
        {"run": run, "parameters": parameters[run], "accuracy": e.accuracy, "shown": percent(e.accuracy)}
        for run, e in evaluations.items()
    ]
    runs = list(evaluations)
    found = [e.accuracy for e in evaluations.values()]
    low, high = min(parameters.values()) / 1.5, max(parameters.values()) * 1.5
    ticks = [m * 10**k for k in range(10) for m in (1, 3) if low <= m * 10**k <= high]
    chart = (
        alt.Chart(data(rows))
        .mark_point(filled=True, size=110, opacity=1)
        .encode(
            x=alt.X(
                "parameters:Q",
                title="parameters",
                scale=alt.Scale(type="log", domain=[low, high], nice=False),
                axis=alt.Axis(format="~s", values=ticks, grid=False),
            ),
            y=alt.Y("accuracy:Q", title="test accuracy", scale=even([found], most=1, padding=12), axis=SHARE),
            color=run_colour(runs),
            shape=run_shape(runs),
            tooltip=[
                "run:N",
                alt.Tooltip("parameters:Q", format=",d"),
                alt.Tooltip("shown:N", title="test accuracy"),
            ],
        )
    )
    return finish(chart, height=240)


def class_dots(class_names: Sequence[str], accuracy: Mapping[str, Sequence[float | None]]) -> Json:
    """The accuracy of each class in each run: a row a class, a mark a run."""
    rows = [
        {"run": run, "class": name, "accuracy": value}
        for run, values in accuracy.items()
        for name, value in zip(class_names, values, strict=True)
        if value is not None
    ]
    runs = list(accuracy)
    base = alt.Chart(data(rows)).encode(
        x=alt.X("accuracy:Q", title="accuracy (recall)", scale=even([*accuracy.values()], most=1), axis=SHARE),
        y=class_axis(class_names, alt.Axis(domain=False, ticks=False, labelPadding=6, grid=True, tickBand="extent")),
    )
    dots = base.mark_point(filled=True, size=60 if named(len(class_names)) else 12, opacity=1).encode(
        yOffset=alt.YOffset("run:N", scale=alt.Scale(domain=runs, paddingOuter=0.6)),
        color=run_colour(runs),
        shape=run_shape(runs),
        tooltip=["class:N", "run:N", alt.Tooltip("accuracy:Q", format=".1%")],
    )
    return finish(dots, height=class_row(len(class_names), max(24, 9 * len(runs))) * len(class_names))


def run_colour(runs: list[str], legend: bool = True, graded: bool = False) -> alt.Color:
    """A colour for each run; `graded`, from one end to the other, where the runs are steps of one setting."""
    colours = [SERIES[i % len(SERIES)] for i in range(len(runs))]
    if graded:
        shares = [round(100 * (1 - i / max(1, len(runs) - 1))) for i in range(len(runs))]
        colours = [f"color-mix(in oklab, {SERIES[0]} {share}%, {SERIES[1]})" for share in shares]
    return alt.Color("run:N", scale=alt.Scale(domain=runs, range=colours), legend=_legend(runs) if legend else None)


def run_shape(runs: list[str], legend: bool = True) -> alt.Shape:
    """A shape for each run; of sixty-four runs, no two share both their colour and their shape."""
    shapes = [SHAPES[(i + i // len(SHAPES)) % len(SHAPES)] for i in range(len(runs))]
    return alt.Shape("run:N", scale=alt.Scale(domain=runs, range=shapes), legend=_legend(runs) if legend else None)


def _legend(runs: list[str]) -> alt.Legend:
    """A legend with as many columns as fit on a phone."""
    return alt.Legend(symbolOpacity=1, columns=max(1, min(len(runs), 300 // (7 * max(map(len, runs)) + 30))))
