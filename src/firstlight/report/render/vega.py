"""How charts are drawn: the theme, the scales that several charts share, and the way from Altair to the page.

Colours are the names of the page's style sheet, such as `var(--ink)`, so one drawing serves light, dark and paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from typing import Any

import altair as alt
import numpy as np

from firstlight import design_tokens
from firstlight.files import user_cache, write_text
from firstlight.report.format import LOCALE
from firstlight.report.render import vega_process
from firstlight.report.render.vega_keys import keyed
from firstlight.text import printable
from firstlight.types import Array, Json

SERIES = tuple(f"var(--series-{n})" for n in range(1, 9))
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")

THEME: Json = {
    "aria": False,
    "background": "transparent",
    "font": design_tokens.CHART_FONT,
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

# Names are cut before they are drawn.
CONFIG: Json = {**THEME, "axis": {**THEME["axis"], "labelLimit": 0}, "legend": {**THEME["legend"], "labelLimit": 0}}

Values = list[dict[str, Any]]
SHARE = alt.Axis(format="~%", tickCount=5)
NUMBER = alt.Axis(tickCount=5)
NAMES = alt.Axis(domain=False, ticks=False, labelPadding=6)
NAMED_UP_TO = 60  # classes: the rows of more are too low for a name


def data(rows: Values) -> alt.InlineData:
    """Rows as the data of a chart."""
    return alt.InlineData(values=rows)


def plain(values: Array) -> list[float | int | None]:
    """Numbers as JSON has them: whole where whole, null where not finite."""
    return [_plain(float(value)) for value in values]


def _plain(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    # a larger integer has more digits than the drawing's parser reads
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def spread_wide(columns: Sequence[Array]) -> bool:
    """Whether a loss grew so large that on an even axis all else would lie on the floor."""
    values = np.concatenate([np.asarray(column, np.float64) for column in columns])
    values = values[np.isfinite(values)]
    return bool(len(values) and values.min() > 0 and values.max() > 1000 * max(1, values.min()))


def loss_axis(title: str, columns: Sequence[Array]) -> tuple[alt.Y, str]:
    """The upright axis of a loss, logarithmic where the loss is spread wide, and the format of its values."""
    if spread_wide(columns):
        axis = alt.Axis(tickCount=5, format=".3~g")
        return alt.Y("value:Q", title=f"{title}, logarithmic", scale=alt.Scale(type="log"), axis=axis), ".4~g"
    return alt.Y("value:Q", title=title, scale=even(columns), axis=NUMBER), ".4f"


def share_axis(title: str, columns: Sequence[Array]) -> tuple[alt.Y, str]:
    """The upright axis of a share, and the format of its values."""
    return alt.Y("value:Q", title=title, scale=even(columns, most=1), axis=SHARE), ".2%"


def even(columns: Sequence[Array | Sequence[float | None]], most: float = math.inf, **more: Any) -> alt.Scale:
    """An even scale of these values, up to `most`; where all are one number, it has room on both sides.

    Without, its only tick would be rounded to the steps of an axis that has none: 1 for 0.757.
    """
    values = np.concatenate([np.asarray(column, np.float64) for column in columns])
    values = values[np.isfinite(values)]
    if len(values) and math.isclose(low := values.min(), high := values.max(), abs_tol=1e-12):
        room = 0.1 * abs(low) or 0.1
        more["domain"] = [float(max(low - room, min(low, 0))), min(most, float(high + room))]
    return alt.Scale(zero=False, **more)


def epoch_axis(domain: Sequence[float]) -> alt.X:
    """Epochs along the foot, integers only."""
    first, last = math.ceil(domain[0]), math.floor(domain[1])
    few = list(range(first, last + 1)) if last - first <= 10 else alt.Undefined  # it would put 2 at one and a half
    axis = alt.Axis(format="d", tickMinStep=1, grid=False, values=few)
    return alt.X("epoch:Q", title="epoch", axis=axis, scale=alt.Scale(domain=list(domain), nice=False))


def epoch_range(rows: Values) -> list[float]:
    """The range of the axis of epochs; a single epoch stands in its middle."""
    numbers = [row["epoch"] for row in rows]
    return [min(numbers), max(numbers)] if min(numbers) < max(numbers) else [numbers[0] - 1, numbers[0] + 1]


def class_axis(class_names: Sequence[str], axis: alt.Axis = NAMES) -> alt.Y:
    """Class names from top to bottom; of more than have room, their number."""
    scale = alt.Scale(domain=list(class_names))
    if not named(len(class_names)):
        title = f"{len(class_names)} classes"
        return alt.Y("class:N", title=title, scale=scale, axis=alt.Axis(labels=False, ticks=False, domain=False))
    return alt.Y("class:N", title=None, scale=scale, axis=axis)


def named(classes: int) -> bool:
    """Whether so many classes have room for their names, a row each."""
    return classes <= NAMED_UP_TO


def class_row(classes: int, height: int) -> int:
    """The height of a class's row, in CSS pixels: `height`, or as much less as more classes than can be named need."""
    return height if named(classes) else max(2, height * NAMED_UP_TO // classes)


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
    columns = max(1, min(len(runs), 300 // (7 * max(map(len, runs)) + 30)))
    return alt.Legend(title=None, symbolOpacity=1, columns=columns)


def finish(chart: Any, height: int | Json, datasets: Mapping[str, Values] | None = None) -> Json:
    """The specification of a chart that is as wide as its container; `datasets` are those that it names."""
    # Altair's check of every specification against the schema takes a quarter of a second a report: tests make it.
    spec: Json = chart.properties(width="container").to_dict(validate=False)
    spec.pop("$schema")
    spec["datasets"] = {**spec.get("datasets", {}), **(datasets or {})}
    spec |= {"height": height, "autosize": {"type": "fit-x", "contains": "padding"}, "config": CONFIG}
    return keyed(spec, THEME)


def svg(spec: Json, width: int) -> str:
    """The chart as a static drawing of a fixed width, for pages without JavaScript. Raises ChartError."""
    made = {**cleaned(spec, printable), "width": width}
    return vega_process.render("vegalite_to_svg", vl_spec=made, vl_version=_version(), format_locale=LOCALE)


def cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    """JSON with each of its strings made clean."""
    if isinstance(value, dict):
        return {cleaned(key, clean): cleaned(inner, clean) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(inner, clean) for inner in value]
    return clean(value) if isinstance(value, str) else value


@cache
def javascript() -> str:
    """The libraries that draw the charts, as one script that defines `vegaEmbed`. Raises ChartError."""
    # To bundle them takes a second and 100 MB: once for each version, then it lies in the user's cache folder.
    kept = user_cache() / f"charts-{version('vl-convert-python')}-{_version()}.js"
    try:
        return kept.read_text("utf-8")
    except (OSError, ValueError):
        pass
    code = vega_process.render("javascript_bundle", snippet="window.vegaEmbed = vegaEmbed;", vl_version=_version())
    with suppress(OSError):  # without a folder to keep it in, it is bundled each time
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_text(kept, code)
    return code


def _version() -> str:
    """The Vega-Lite that Altair writes, as vl-convert calls it: "v6.4"."""
    return ".".join(alt.SCHEMA_VERSION.split(".")[:2])
