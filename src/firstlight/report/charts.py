"""The charts of one run, from plain arrays: each function returns a Vega-Lite specification.

Train is dashed and mistakes have their own hue: nothing rests on telling two colours apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

from firstlight.evaluation import ClassScore, ReliabilityBin, wilson_interval
from firstlight.report.format import interval, percent
from firstlight.report.render.vega import (
    SERIES,
    SHARE,
    Values,
    class_axis,
    class_row,
    data,
    finish,
    named,
)
from firstlight.types import Array, Json

COUNTS_UP_TO = 12  # classes: a larger confusion matrix shows its counts on hover only
NAME = 10  # CSS pixels that the name of a class needs
DARK_FROM = 0.75  # the share of a cell on the diagonal whose colour is dark
FEW = 5  # classes whose small confusion matrix has room for counts


def histogram(class_names: Sequence[str], counts: Sequence[int], title: str, most: int | None = None) -> Json:
    """Images per class, a bar each; `most` is the end of the axis, for charts that are compared."""
    rows = [{"class": name, "images": int(n)} for name, n in zip(class_names, counts, strict=True)]
    chart = (
        alt.Chart(data(rows))
        .mark_bar(opacity=0.75)
        .encode(
            x=alt.X(
                "images:Q",
                title=title,
                axis=alt.Axis(tickCount=3, format=",d", tickMinStep=1, values=_few(most or max(counts, default=0))),
                scale=alt.Undefined if most is None else alt.Scale(domain=[0, most]),
            ),
            y=class_axis(class_names),
            tooltip=["class:N", alt.Tooltip("images:Q", format=",d")],
        )
    )
    return finish(chart, height=class_row(len(class_names), 18) * len(class_names))


def _few(most: int) -> Any:
    """Every number up to the greatest where they are few: the library would write a tick at a half as 1."""
    return list(range(most + 1)) if most <= 3 else alt.Undefined


def confusion(matrix: Array, class_names: Sequence[str], small: bool = False) -> Json:
    """The confusion matrix: rows true, columns predicted; the colour is the share of the row, blue where right.

    A small one leaves out the counts, unless its classes are few.
    """
    support = matrix.sum(axis=1)
    rows = [
        {
            "true": class_names[t],
            "predicted": class_names[p],
            "images": int(matrix[t, p]),
            "share": float(matrix[t, p] / support[t]),
            "right": bool(t == p),
        }
        for t, p in np.argwhere(matrix)
    ]
    classes = len(class_names)
    scale = alt.Scale(domain=list(class_names), paddingInner=0.03, paddingOuter=0)
    slanted = classes > COUNTS_UP_TO or max(map(len, class_names)) > 3
    style: Json = {"labels": side(classes, small) >= NAME, "domain": False, "ticks": False}
    across = alt.Axis(orient="top", labelAngle=-45 if slanted else 0, labelLimit=90, **style)
    base = alt.Chart(data(rows)).encode(
        x=alt.X("predicted:N", title="predicted class", scale=scale, axis=across),
        y=alt.Y("true:N", title="true class", scale=scale, axis=alt.Axis(labelLimit=110, **style)),
        tooltip=[
            alt.Tooltip("true:N", title="true class"),
            alt.Tooltip("predicted:N", title="predicted class"),
            alt.Tooltip("images:Q", format=",d"),
            alt.Tooltip("share:Q", title="share of the true class", format=".1%"),
        ],
    )
    cells = base.mark_rect().encode(
        fill=alt.Fill(
            "right:N", legend=None, scale=alt.Scale(domain=[True, False], range=["var(--hit)", "var(--miss)"])
        ),
        fillOpacity=alt.FillOpacity(
            "share:Q", legend=None, scale=alt.Scale(type="sqrt", domain=[0, 1], range=[0.04, 1])
        ),
    )
    layers = [cells]
    if classes <= (FEW if small else COUNTS_UP_TO):
        numbers = base.encode(text=alt.Text("images:Q", format=",d"))
        dark = f"datum.right && datum.share > {DARK_FROM}"  # where white is read better, in light and in dark
        layers.append(numbers.transform_filter(f"!({dark})").mark_text())
        layers.append(numbers.transform_filter(dark).mark_text(color="var(--on-hit)"))
    spec = finish(alt.layer(*layers), height=classes * side(classes, small))
    spec["view"] = {"fill": "var(--wash)", "stroke": None}
    return spec


def confusion_width(class_names: Sequence[str]) -> int:
    """The width at which the cells of a confusion matrix are about square."""
    cell = side(len(class_names))
    labels = min(110, 7 * max(map(len, class_names))) if cell >= NAME else 0
    return max(300, len(class_names) * cell + labels + 30)


def side(classes: int, small: bool = False) -> int:
    """The side of a cell of a confusion matrix, in CSS pixels."""
    if small:
        return 42 if classes <= FEW else max(3, min(22, 230 // classes))
    return 42 if classes <= COUNTS_UP_TO else max(4, min(24, 600 // classes))


def class_bars(scores: Sequence[ClassScore], overall: float) -> Json:
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


def reliability(bins: Sequence[ReliabilityBin]) -> Json:
    """Accuracy against confidence, a point a bin with its interval; on the diagonal, confidence can be believed."""
    rows: Values = []
    for b in bins:
        if b.accuracy is None:
            continue
        low, high = wilson_interval(round(b.accuracy * b.images), b.images)
        rows.append({"confidence": b.confidence, "accuracy": b.accuracy, "low": low, "high": high, "images": b.images})
    unit = alt.Scale(domain=[0, 1])
    diagonal = alt.Chart(data([{"x": 0, "y": 0}, {"x": 1, "y": 1}])).mark_line(
        strokeDash=[3, 3], color="var(--muted)", strokeWidth=1
    )
    diagonal = diagonal.encode(x=alt.X("x:Q"), y=alt.Y("y:Q"))
    base = alt.Chart(data(rows)).encode(
        x=alt.X("confidence:Q", title="mean confidence", scale=unit, axis=SHARE),
        tooltip=[
            alt.Tooltip("confidence:Q", format=".1%"),
            alt.Tooltip("accuracy:Q", format=".1%"),
            alt.Tooltip("images:Q", format=",d"),
        ],
    )
    whiskers = base.mark_rule(color=SERIES[0]).encode(y="low:Q", y2="high:Q")
    size = alt.Size("images:Q", legend=None, scale=alt.Scale(range=[30, 320], zero=True))
    dots = base.mark_point(filled=True, opacity=1, color=SERIES[0]).encode(
        y=alt.Y("accuracy:Q", title="accuracy", scale=unit, axis=SHARE), size=size
    )
    return finish(alt.layer(dots, diagonal, whiskers, dots), height=320)
