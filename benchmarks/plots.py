"""The small plots of the page, as SVG on white: colours that the colour-blind tell apart, with shapes beside them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import vl_convert

from benchmarks.record import label
from benchmarks.rounds import summary
from firstlight.files import write_bytes, write_text
from firstlight.types import Json

# Okabe and Ito 2008, less the yellow, which is faint on white
COLOURS = ("#0072B2", "#D55E00", "#E69F00", "#009E73", "#56B4E9", "#CC79A7")
ORDER = ("firstlight", "torch", "torch-compiled", "keras-tensorflow", "keras-jax", "jax")
CONFIG: Json = {
    "background": "white",
    "padding": 8,
    "font": "sans-serif",
    "axis": {"labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "gridColor": "#e4e4e4"},
    "legend": {"title": None, "orient": "top", "labelFontSize": 12, "labelLimit": 260, "columns": 3},
    "header": {"labelFontSize": 12, "title": None},
    "view": {"stroke": None},
}
Rows = list[dict[str, Any]]
SERIES = "contestant:N"


class Plot(NamedTuple):
    """A drawing of one section."""

    section: str
    draw: Callable[[Json], alt.Chart]
    caption: str


def svg(section: Json, name: str) -> str:
    """The plot of that name."""
    return vl_convert.vegalite_to_svg(_spec(section, name), vl_version=_version())


def png(section: Json, name: str) -> bytes:
    """The same, to look at."""
    return vl_convert.vegalite_to_png(_spec(section, name), vl_version=_version(), scale=2)


def write(record: Json, folder: Path, as_png: bool = False) -> None:
    """Every plot whose section was measured."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, plot in PLOTS.items():
        section = record["sections"].get(plot.section)
        if section is None or not section["cases"]:
            continue
        path = folder / f"benchmarks-{name}"
        write_text(path.with_suffix(".svg"), svg(section, name))
        if as_png:
            write_bytes(path.with_suffix(".png"), png(section, name))


def _version() -> str:
    return ".".join(alt.SCHEMA_VERSION.split(".")[:2])


def _spec(section: Json, name: str) -> Json:
    spec: Json = PLOTS[name].draw(section).to_dict()
    return spec | {"config": CONFIG}


def _colour(names: list[str]) -> tuple[alt.Color, alt.Shape]:
    """firstlight is blue everywhere, and every contestant keeps its colour."""
    labels = [label(name) for name in names]
    colours = [COLOURS[ORDER.index(name)] if name in ORDER else COLOURS[i] for i, name in enumerate(names)]
    scale = alt.Scale(domain=labels, range=colours)
    return alt.Color(SERIES, scale=scale), alt.Shape(SERIES, scale=alt.Scale(domain=labels))


def _names(section: Json) -> list[str]:
    return list(dict.fromkeys(name for case in section["cases"] for name in case["turns"]))


def _steps(section: Json) -> alt.Chart:
    """How many times longer than firstlight: a row a case, a mark a contestant."""
    rows: Rows = []
    for case in section["cases"]:
        own = summary(case["turns"]["firstlight"]).median
        rows += [
            {"case": case["name"], "contestant": label(name), "times": summary(turns).median / own}
            for name, turns in case["turns"].items()
        ]
    colour, shape = _colour(_names(section))
    x = alt.X(
        "times:Q",
        title="times as long as firstlight (logarithmic)",
        scale=alt.Scale(type="log", nice=False, padding=12),
    )
    y = alt.Y("case:N", sort=None, title=None, axis=alt.Axis(labelLimit=200, grid=True))
    base = alt.Chart(alt.InlineData(values=rows), width=420, height=alt.Step(30))
    return base.mark_point(filled=True, size=80, opacity=0.9).encode(x=x, y=y, color=colour, shape=shape)


def _batches(section: Json) -> alt.Chart:
    rows = [
        {
            "doing": "training" if case["name"].startswith("train") else "prediction",
            "contestant": label(name),
            "batch": case["batch"],
            "rate": case["batch"] / summary(turns).median,
        }
        for case in section["cases"]
        for name, turns in case["turns"].items()
    ]
    lines = _lines(rows, section, "batch", "rate", "batch size", "images per second", size=(250, 180))
    facet = alt.Column("doing:N", sort=["training", "prediction"], title=None)
    return lines.encode(column=facet)


def _by_size(kind: str, title: str) -> Callable[[Json], alt.Chart]:
    def draw(section: Json) -> alt.Chart:
        rows = [
            {"contestant": label(name), kind: int(case["name"].split()[-1]), "ms": summary(turns).median * 1e3}
            for case in section["cases"]
            if case["name"].startswith(kind)
            for name, turns in case["turns"].items()
        ]
        return _lines(rows, section, kind, "ms", title, "ms a step", size=(340, 180))

    return draw


def _lines(rows: Rows, section: Json, x: str, y: str, x_title: str, y_title: str, size: tuple[int, int]) -> alt.Chart:
    """Curves on logarithmic axes, with the values that were measured below them."""
    colour, shape = _colour(_names(section))
    ticks = sorted({row[x] for row in rows})
    foot = alt.Axis(values=ticks, format="d", grid=False, labelOverlap=True)
    side = alt.Axis(values=_round_numbers([row[y] for row in rows]), format=",~g")
    return (
        alt.Chart(alt.InlineData(values=rows), width=size[0], height=size[1])
        .mark_line(point=alt.OverlayMarkDef(size=50, filled=True), strokeWidth=2)
        .encode(
            x=alt.X(f"{x}:Q", title=x_title, scale=alt.Scale(type="log", base=2, nice=False, padding=8), axis=foot),
            y=alt.Y(f"{y}:Q", title=y_title, scale=alt.Scale(type="log", nice=False, padding=8), axis=side),
            color=colour,
            shape=shape,
        )
    )


def _round_numbers(values: list[float]) -> list[float]:
    """1, 2 and 5 times powers of ten from the one below the least to the greatest; of many, the powers alone."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    steps = (1, 2, 5) if high - low <= 2 else (1,)
    numbers = [float(f"{step}e{power}") for power in range(low, high + 1) for step in steps]
    return [number for number in numbers if 0.8 * min(values) <= number <= 1.2 * max(values)]


def _threads(section: Json) -> alt.Chart:
    rows = []
    for case in section["cases"]:
        for one, two, name in (("firstlight-1", "firstlight", "firstlight"), ("torch-1", "torch-2", "torch")):
            if one in case["turns"] and two in case["turns"]:
                times = summary(case["turns"][one]).median / summary(case["turns"][two]).median
                rows.append({"case": case["name"], "contestant": label(name), "times": times})
    found = [row["times"] for row in rows]
    colour, shape = _colour(["firstlight", "torch"])
    x = alt.X(
        "times:Q",
        title="times faster with two threads than with one",
        scale=alt.Scale(domain=[min([1.0, *found]), max([2.0, *found])]),
    )
    y = alt.Y("case:N", sort=None, title=None, axis=alt.Axis(labelLimit=200, grid=True))
    base = alt.Chart(alt.InlineData(values=rows), width=360, height=alt.Step(26))
    return base.mark_point(filled=True, size=90, opacity=0.9).encode(x=x, y=y, color=colour, shape=shape)


def _pair(section: Json) -> alt.Chart:
    turns = section["cases"][0]["turns"]
    rows = [{"how": name, "ms": summary(found).median * 1e3} for name, found in turns.items()]
    base = alt.Chart(alt.InlineData(values=rows), width=360, height=alt.Step(26))
    return base.mark_bar(color=COLOURS[0], size=16).encode(
        x=alt.X("ms:Q", title="ms of wall time a step, of either run"), y=alt.Y("how:N", sort=None, title=None)
    )


PLOTS = {
    "steps": Plot("steps", _steps, "How many times as long as firstlight each peer takes for a training step"),
    "batches": Plot(
        "batches", _batches, "Images a second by batch size, trained and predicted, firstlight and PyTorch"
    ),
    "threads": Plot("threads", _threads, "How many times faster two threads are than one, firstlight and PyTorch"),
    "pair": Plot("pair", _pair, "Two runs at once on one core each, and one after the other on both"),
    "sides": Plot("sizes", _by_size("side", "side of an image in pixels, fashion-cnn"), "Cost of a step by image side"),
    "widths": Plot("sizes", _by_size("filters", "filters of the first block, vgg-small"), "Cost of a step by channels"),
}
