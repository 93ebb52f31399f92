"""The charts of runs over several seeds: every seed is shown, and their mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import altair as alt

from firstlight.records.group import Group
from firstlight.report.format import percent
from firstlight.report.overlays import run_colour, run_shape
from firstlight.report.render.vega import (
    NAMES,
    SERIES,
    SHARE,
    Values,
    data,
    epoch_axis,
    epoch_range,
    even,
    finish,
    loss_axis,
    plain,
    share_axis,
)
from firstlight.types import Array, Json

EPOCHS_MARKED = 15  # epochs: the marks of more of them would hide the lines
NUMBERS_UP_TO = 6  # columns of class differences whose cells have room for a number
LEAST = 1e-17  # where no difference is drawn on a logarithmic axis
STRONG = 0.1  # a difference of accuracy that has the full colour


def dots(groups: Sequence[Group], graded: bool = False) -> Json:
    """The test accuracy of every seed, and as open marks the published and other numbers.

    The mean of several seeds is an upright line.
    """
    names = [group.name for group in groups]
    rows: Values = []
    for group in groups:
        found = group.accuracies.items()
        rows += [{"run": group.name, "accuracy": a, "shown": percent(a, 2), "what": f"seed {s}"} for s, a in found]
    means = [
        {"run": group.name, "accuracy": group.accuracy.mean, "shown": percent(group.accuracy.mean, 2), "what": "mean"}
        for group in groups
        if len(group.averaged) > 1
    ]
    given: Values = []
    for group in groups:
        published = {"published": group.published} if group.published is not None else {}
        numbers = {**published, **group.beside}
        given += [
            {"run": group.name, "accuracy": a, "shown": percent(a, 2), "what": what, "mark": what == "published"}
            for what, a in numbers.items()
        ]
    shown = [row["accuracy"] for row in rows + given]
    x = alt.X("accuracy:Q", title="test accuracy", scale=even([shown], most=1, padding=8), axis=SHARE)
    colour = run_colour(names, legend=False, graded=graded)
    tooltip: list[str | alt.Tooltip] = [
        "run:N",
        alt.Tooltip("what:N", title="which"),
        alt.Tooltip("shown:N", title="test accuracy"),
    ]

    def marks(values: Values) -> alt.Chart:
        y = alt.Y("run:N", title=None, scale=alt.Scale(domain=names), axis=NAMES)
        return alt.Chart(data(values)).encode(x=x, y=y, tooltip=tooltip)

    layers = [marks(rows).mark_point(filled=True, size=55, opacity=0.6).encode(color=colour)]
    if means:
        layers.insert(0, marks(means).mark_tick(thickness=2.5, height=18).encode(color=colour))
    if given:
        shape = alt.Shape(
            "mark:N", legend=None, scale=alt.Scale(domain=[True, False], range=["diamond", "triangle-up"])
        )
        layers.append(marks(given).mark_point(size=90, stroke="var(--ink)", strokeWidth=1.5).encode(shape=shape))
    return finish(alt.layer(*layers), height=max(120, 30 * len(names)))


def curves(columns: Mapping[str, Mapping[str, Array]], title: str, share: bool = False, graded: bool = False) -> Json:
    """The mean over the seeds by epoch, a line a group; the band around it reaches from the least to the greatest.

    columns  by group, as `Group.curve` gives them; at least one has an epoch
    """
    names = list(columns)
    reached = [column[key] for column in columns.values() for key in ("low", "high")]
    y, form = (share_axis if share else loss_axis)(title, reached)
    rows: Values = []
    for name, column in columns.items():
        values = zip(*(plain(column[key]) for key in ("epoch", "mean", "low", "high")), strict=True)
        rows += [{"run": name, "epoch": e, "value": mean, "low": low, "high": high} for e, mean, low, high in values]
    several = any(row["low"] != row["high"] for row in rows)
    base = alt.Chart(data(rows)).encode(
        x=epoch_axis(epoch_range(rows)),
        color=run_colour(names, graded=graded),
        tooltip=["run:N", "epoch:Q", alt.Tooltip("value:Q", title=f"{title}{', mean' * several}", format=form)],
    )
    epochs = len({row["epoch"] for row in rows})
    layers = [base.mark_line(strokeWidth=2).encode(y=y)]
    if several:
        low = y.copy()
        low.shorthand = "low:Q"
        layers.insert(0, base.mark_area(opacity=0.16).encode(y=low, y2="high:Q"))
    if epochs == 1 or (not graded and epochs <= EPOCHS_MARKED):
        layers.append(base.mark_point(filled=True, size=34, opacity=1).encode(y=y, shape=run_shape(names)))
    return finish(alt.layer(*layers), height=260)


def class_differences(class_names: Sequence[str], differences: Mapping[str, Sequence[float | None]]) -> Json:
    """By how much each group recognizes each class better or worse than the leader: a column a group."""
    rows = [
        {
            "class": name,
            "run": run,
            "difference": value,
            "shown": f"{100 * value:+.1f}".replace("-", "−").replace("+0.0", "0.0").replace("−0.0", "0.0"),
            "strength": min(1.0, abs(value) / STRONG),
            "better": value > 0,
        }
        for run, values in differences.items()
        for name, value in zip(class_names, values, strict=True)
        if value is not None
    ]
    names = list(differences)
    across = alt.Axis(orient="top", labelAngle=-40, labelLimit=130, domain=False, ticks=False)
    down = alt.Axis(labelLimit=110, domain=False, ticks=False)
    base = alt.Chart(data(rows)).encode(
        x=alt.X("run:N", title=None, scale=alt.Scale(domain=names, paddingInner=0.04, paddingOuter=0), axis=across),
        y=alt.Y("class:N", title=None, scale=alt.Scale(domain=list(class_names), paddingInner=0.08), axis=down),
        tooltip=["class:N", "run:N", alt.Tooltip("shown:N", title="difference, points")],
    )
    cells = base.mark_rect().encode(
        fill=alt.Fill("better:N", legend=None, scale=alt.Scale(domain=[True, False], range=[*SERIES[:2]])),
        fillOpacity=alt.FillOpacity("strength:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0, 0.6])),
    )
    layers = [cells]
    if len(names) <= NUMBERS_UP_TO:
        layers.append(base.mark_text().encode(text="shown:N"))
    spec = finish(alt.layer(*layers), height={"step": 24})
    spec["view"] = {"fill": "var(--wash)", "stroke": None}
    return spec


def engines(losses: Mapping[str, Mapping[str, Array]]) -> Json:
    """The training loss of two engines: the second is dotted and lies on the first where they agree."""
    (first, second) = losses
    looks: dict[str, Json] = {
        first: {"strokeWidth": 5, "opacity": 0.5},
        second: {"strokeWidth": 1.5, "strokeDash": [3, 4]},
    }
    rows: Values = []
    for name, column in losses.items():
        values = zip(plain(column["epoch"]), plain(column["mean"]), strict=True)
        rows += [{"run": name, "epoch": epoch, "value": loss} for epoch, loss in values]
    y, form = loss_axis("training loss", [column["mean"] for column in losses.values()])
    colour = alt.Scale(domain=[first, second], range=[SERIES[0], "var(--ink)"])
    lines = [
        alt.Chart(data([row for row in rows if row["run"] == name]))
        .mark_line(point=len(losses[name]["epoch"]) == 1, **look)
        .encode(
            x=epoch_axis(epoch_range(rows)),
            y=y,
            color=alt.Color("run:N", scale=colour, legend=alt.Legend(symbolType="stroke", columns=1)),
            tooltip=["run:N", "epoch:Q", alt.Tooltip("value:Q", title="loss", format=form)],
        )
        for name, look in looks.items()
    ]
    return finish(alt.layer(*lines), height=240)


def gaps(by_seed: Mapping[int, Sequence[float]]) -> Json:
    """The relative difference of two losses by epoch, a line a seed, logarithmic; none at all is drawn low.

    At least one of them is finite.
    """
    rows: Values = [
        {"seed": str(seed), "epoch": epoch, "gap": max(gap, LEAST), "shown": f"{gap:.1e}"}
        for seed, values in by_seed.items()
        for epoch, gap in enumerate(values, 1)
        if math.isfinite(gap)
    ]
    powers = [math.log10(row["gap"]) for row in rows]
    decades = range(math.floor(min(powers)), math.floor(max(powers)) + 2)
    ticks = [10.0**power for power in decades]
    chart = (
        alt.Chart(data(rows))
        .mark_line(point=alt.OverlayMarkDef(size=18, filled=True, color=SERIES[0]), strokeWidth=1.5, color=SERIES[0])
        .encode(
            x=epoch_axis(epoch_range(rows)),
            y=alt.Y(
                "gap:Q",
                title="relative difference of the loss, logarithmic",
                scale=alt.Scale(type="log", domain=[ticks[0], ticks[-1]], nice=False),
                axis=alt.Axis(format=".0e", values=ticks),
            ),
            detail="seed:N",
            tooltip=["seed:N", "epoch:Q", alt.Tooltip("shown:N", title="difference")],
        )
    )
    return finish(chart, height=240)
