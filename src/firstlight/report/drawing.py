"""How charts are drawn: the theme, the scales that several charts share, and the way from Altair to the page.

Colours are the names of the page's style sheet, such as `var(--ink)`, so one drawing serves light, dark and paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import altair as alt

from firstlight.report.numbers import LOCALE
from firstlight.types import Array, Json

SERIES = tuple(f"var(--series-{n})" for n in range(1, 9))
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")

THEME: Json = {
    "aria": False,
    "background": "transparent",
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif",
    "axis": {
        "labelColor": "var(--ink)",
        "labelFontSize": 11,
        "titleColor": "var(--muted)",
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "domainColor": "var(--rule)",
        "tickColor": "var(--rule)",
        "gridColor": "var(--rule)",
        "labelLimit": 110,
    },
    "legend": {
        "orient": "top",
        "title": None,
        "labelColor": "var(--ink)",
        "labelFontSize": 12,
        "labelLimit": 220,
        "symbolStrokeWidth": 2,
        "padding": 0,
    },
    "view": {"stroke": None},
    "text": {"color": "var(--ink)", "fontSize": 11},
    "rule": {"color": "var(--muted)"},
    "bar": {"color": "var(--series-1)"},
    "point": {"size": 42},
}

Values = list[dict[str, Any]]
SHARE = alt.Axis(format="~%", tickCount=5)
NUMBER = alt.Axis(tickCount=5)
NAMES = alt.Axis(domain=False, ticks=False, labelPadding=6)


def data(rows: Values) -> alt.InlineData:
    """Rows as the data of a chart."""
    return alt.InlineData(values=rows)


def plain(values: Array) -> list[float | int | None]:
    """Numbers as JSON has them: whole where whole, null where not finite."""
    return [None if not math.isfinite(v) else int(v) if float(v).is_integer() else float(v) for v in values]


def epoch_axis(domain: Sequence[float]) -> alt.X:
    """Epochs along the foot, whole numbers only."""
    axis = alt.Axis(format="d", tickMinStep=1, grid=False)
    return alt.X("epoch:Q", title="epoch", axis=axis, scale=alt.Scale(domain=list(domain), nice=False))


def epoch_range(rows: Values) -> list[float]:
    """The range of the axis of epochs; a single epoch stands in its middle."""
    numbers = [row["epoch"] for row in rows]
    return [min(numbers), max(numbers)] if min(numbers) < max(numbers) else [numbers[0] - 1, numbers[0] + 1]


def class_axis(class_names: Sequence[str], axis: alt.Axis = NAMES) -> alt.Y:
    """Class names from top to bottom."""
    return alt.Y("class:N", title=None, scale=alt.Scale(domain=list(class_names)), axis=axis)


def finish(chart: Any, height: int | Json) -> Json:
    """The specification of a chart that is as wide as its container."""
    spec: Json = chart.properties(width="container").to_dict()
    spec.pop("$schema")
    return {**spec, "height": height, "autosize": {"type": "fit-x", "contains": "padding"}, "config": THEME}


def svg(spec: Json, width: int) -> str:
    """The chart as a static drawing of a fixed width, for pages without JavaScript."""
    import vl_convert

    return vl_convert.vegalite_to_svg({**spec, "width": width}, vl_version=_version(), format_locale=LOCALE)


@cache
def javascript() -> str:
    """The libraries that draw the charts, as one script that defines `vegaEmbed`."""
    import vl_convert

    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=_version())


def _version() -> str:
    """The Vega-Lite that Altair writes, as vl-convert calls it: "v6.4"."""
    return ".".join(alt.SCHEMA_VERSION.split(".")[:2])
