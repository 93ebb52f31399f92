"""The charts of a search: its course, the importance of its settings, and each setting against the outcome."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import altair as alt

from firstlight.records.search_folder import Tuned
from firstlight.report.render.vega import NAMES, NUMBER, SERIES, SHARE, Values, data, even, finish
from firstlight.types import Json

HEIGHT = 240
STATES = {"complete": "to its end", "pruned": "stopped early"}
TITLES = {"val_accuracy": "validation accuracy", "val_loss": "validation loss"}


def history(tuned: Tuned) -> Json:
    """Each trial's value in their order, and the best of the complete ones so far as a staircase."""
    best: float | None = None
    stairs: Values = []
    for trial in tuned.trials:
        if trial.state == "complete" and trial.value is not None:
            better = best is None or (trial.value > best if tuned.maximise else trial.value < best)
            best = trial.value if better else best
        if best is not None:
            stairs.append({"trial": trial.number, "value": best})
    domain = [0.5, max(trial.number for trial in tuned.trials) + 0.5]
    x = alt.X(
        "trial:Q",
        title="trial",
        scale=alt.Scale(domain=domain, nice=False),
        axis=alt.Axis(format="d", tickMinStep=1, grid=False),
    )
    line = (
        alt.Chart(data(stairs))
        .mark_line(interpolate="step-after", strokeWidth=2, color=SERIES[1])
        .encode(x=x, y=_outcome(tuned))
    )
    return finish(alt.layer(line, _dots(tuned, _rows(tuned), x)), height=HEIGHT)


def importance(shares: Mapping[str, float]) -> Json:
    """A bar for each setting."""
    rows = [{"setting": key, "share": share} for key, share in shares.items()]
    order = alt.Scale(domain=list(shares))
    chart = (
        alt.Chart(data(rows))
        .mark_bar(opacity=0.75)
        .encode(
            x=alt.X("share:Q", title="share of the spread explained", scale=alt.Scale(domain=[0, 1]), axis=SHARE),
            y=alt.Y("setting:N", title=None, scale=order, axis=_with(NAMES, labelLimit=180)),
            tooltip=["setting:N", alt.Tooltip("share:Q", format=".1%")],
        )
    )
    return finish(chart, height={"step": 24})


def against(tuned: Tuned, key: str, shown: Callable[[object], str]) -> Json:
    """The value of each trial against one setting, the best trial ringed; choices stand side by side."""
    scale = scale_of(tuned.space[key])
    rows = _rows(tuned)
    for row in rows:
        value = row["values"][key]
        row["setting"] = value if scale is not None else shown(value)
        row["shown"] = shown(value)
    x: alt.X
    if scale is None:
        choices = [shown(value) for value in tuned.space[key]]
        x = alt.X(
            "setting:N",
            title=key,
            scale=alt.Scale(domain=choices),
            axis=alt.Axis(labelAngle=0 if sum(map(len, choices)) < 36 else -35, domain=False, ticks=False),
        )
    else:
        low, high, logarithmic = scale
        x = alt.X(
            "setting:Q",
            title=f"{key}, logarithmic" if logarithmic else key,
            scale=alt.Scale(type="log" if logarithmic else "linear", domain=[low, high], nice=False, padding=8),
            axis=_axis(low, high, logarithmic),
        )
    return finish(alt.layer(*_ringed(tuned, rows, x)), height=HEIGHT - 40)


def scale_of(domain: Any) -> tuple[float, float, bool] | None:
    """(low, high, logarithmic) of a range as the tune file has it; None for a list of choices."""
    if not isinstance(domain, Mapping):
        return None
    kind = next(name for name in ("uniform", "log", "int", "log_int") if name in domain)
    low, high = domain[kind]
    return float(low), float(high), kind.startswith("log")


def _axis(low: float, high: float, logarithmic: bool) -> alt.Axis:
    """Powers of ten where the range has several of them, else a few round numbers."""
    if not logarithmic:
        return alt.Axis(tickCount=5, grid=False)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1,) if len(exponents) > 3 else (1, 2, 5)
    ticks = [m * 10.0**e for e in exponents for m in steps if low <= m * 10.0**e <= high]
    return alt.Axis(values=ticks, format="~g" if low >= 1e-4 else ".0e", grid=False)


def _rows(tuned: Tuned) -> Values:
    """A row for each trial that has a value and did not fail."""
    return [
        {
            "trial": trial.number,
            "value": trial.value,
            "state": STATES[trial.state],
            "epochs": trial.epochs,
            "values": dict(trial.values),
        }
        for trial in tuned.trials
        if trial.state in STATES and trial.value is not None
    ]


def _dots(tuned: Tuned, rows: Values, x: alt.X) -> alt.Chart:
    kinds = [name for name in STATES.values() if any(row["state"] == name for row in rows)]
    looks = {"to its end": ("circle", SERIES[0]), "stopped early": ("cross", "var(--muted)")}
    legend = alt.Legend() if len(kinds) > 1 else None
    tooltip: list[Any] = [
        "trial:Q",
        alt.Tooltip("value:Q", title=TITLES[tuned.monitor], format=_format(tuned)),
        "epochs:Q",
        alt.Tooltip("state:N", title="trained"),
    ]
    if rows and "shown" in rows[0]:
        tooltip.append(alt.Tooltip("shown:N", title="setting"))
    plain = [{key: value for key, value in row.items() if key != "values"} for row in rows]
    return (
        alt.Chart(data(plain))
        .mark_point(filled=True, size=55, opacity=0.85)
        .encode(
            x=x,
            y=_outcome(tuned),
            shape=alt.Shape(
                "state:N", scale=alt.Scale(domain=kinds, range=[looks[k][0] for k in kinds]), legend=legend
            ),
            color=alt.Color(
                "state:N", scale=alt.Scale(domain=kinds, range=[looks[k][1] for k in kinds]), legend=legend
            ),
            tooltip=tooltip,
        )
    )


def _ringed(tuned: Tuned, rows: Values, x: alt.X) -> list[alt.Chart]:
    best = [{"setting": row["setting"], "value": row["value"]} for row in rows if row["trial"] == tuned.best.number]
    ring = (
        alt.Chart(data(best))
        .mark_point(filled=False, size=190, strokeWidth=2, color=SERIES[1], opacity=1)
        .encode(x=x, y=_outcome(tuned))
    )
    return [_dots(tuned, rows, x), ring]


def _outcome(tuned: Tuned) -> alt.Y:
    values = [trial.value for trial in tuned.trials if trial.value is not None and trial.state in STATES]
    title = TITLES[tuned.monitor]
    if tuned.monitor == "val_accuracy":
        return alt.Y("value:Q", title=title, scale=even([values], most=1), axis=SHARE)
    if max(values) > 100 * min(values) > 0:
        axis = alt.Axis(tickCount=5, format=".3~g")
        return alt.Y("value:Q", title=f"{title}, logarithmic", scale=alt.Scale(type="log"), axis=axis)
    return alt.Y("value:Q", title=title, scale=even([values]), axis=NUMBER)


def _format(tuned: Tuned) -> str:
    return ".2%" if tuned.monitor == "val_accuracy" else ".4~g"


def _with(axis: alt.Axis, **changes: Any) -> alt.Axis:
    return alt.Axis(**{**axis.to_dict(), **changes})
