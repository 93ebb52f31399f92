"""The charts: what stands on which axis, and that Vega-Lite draws them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pooch
import pytest

from firstlight.evaluation import Spread, measure, reliability_bins
from firstlight.report import accuracy, charts, class_accuracy, trade_off
from firstlight.report.class_accuracy import ClassAccuracies
from firstlight.report.render import vega
from firstlight.types import Predictions

NAMES = ("cat", "<b>dog</b>", "bird")
MATRIX = np.array([[8, 2, 0], [0, 9, 1], [0, 0, 5]])


def predictions() -> Predictions:
    p = np.array([[0.9, 0.1, 0.0], [0.3, 0.4, 0.3], [0.2, 0.2, 0.6]], dtype=np.float32)
    return Predictions(np.array(["a", "b", "c"]), np.array([0, 2, 2]), p)


def rows(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Every row of data in a specification."""
    layers = [spec, *spec.get("layer", [])]
    inline = [layer.get("data", {}).get("values", []) for layer in layers]
    return [row for values in (*inline, *spec.get("datasets", {}).values()) for row in values]


def by_class(names: Sequence[str], accuracies: Mapping[str, Sequence[float | None]]) -> ClassAccuracies:
    """The accuracies of single runs, the first of which leads."""
    spreads = {run: [None if v is None else Spread(1, v, None) for v in values] for run, values in accuracies.items()}
    (first, own), *others = accuracies.items()
    less = {
        run: [None if a is None or b is None else a - b for a, b in zip(values, own, strict=True)]
        for run, values in others
    }
    return ClassAccuracies(tuple(names), first, True, spreads, less)


BY_CLASS = by_class(NAMES, {"a": [0.5, None, 1.0], "b": [0.7, 0.7, 0.9]})
EVALUATION = measure(predictions(), NAMES, loss=0.5)
ALL = {
    "histogram": charts.histogram(NAMES, [3, 4, 0], "images"),
    "confusion": charts.confusion(MATRIX, NAMES),
    "class bars": charts.class_bars(EVALUATION.classes, EVALUATION.accuracy),
    "reliability": charts.reliability(reliability_bins(predictions())),
    "accuracies": accuracy.chart(
        {
            "a": accuracy.Accuracies({0: 0.9, 1: 0.8}, mean=0.85, others={"published": 0.7, "Keras": 0.8}),
            "b": accuracy.Accuracies({0: 0.9}, interval=(0.8, 1.0)),
        }
    ),
    "against parameters": trade_off.chart({"a": (500, 0.9), "b": (90_000, 0.95)}),
    "class dots": class_accuracy.chart(BY_CLASS),
    "class differences": class_accuracy.differences_chart(BY_CLASS),
}


@pytest.mark.parametrize("spec", ALL.values(), ids=ALL.keys())
def test_every_chart_is_drawn_from_finite_data_in_the_colours_of_the_page(spec: dict[str, Any]) -> None:
    text = json.dumps(spec, allow_nan=False)
    assert "$schema" not in spec
    assert '"url"' not in text
    assert "#" not in text.replace("url(#", "")
    svg = vega.svg(spec, 400)
    assert svg.startswith("<svg")
    assert "var(--" in svg
    assert "<b>" not in svg
    assert "NaN" not in svg


def test_confusion_rows_are_true_and_columns_predicted() -> None:
    spec = charts.confusion(MATRIX, NAMES)
    for layer in spec["layer"]:
        assert layer["encoding"]["y"]["field"] == "true_key"
        assert layer["encoding"]["y"]["title"] == "true class"
        assert layer["encoding"]["x"]["field"] == "predicted_key"
        assert layer["encoding"]["x"]["title"] == "predicted class"
    cells = {(row["true"], row["predicted"]): row for row in rows(spec)}
    assert cells["cat", "<b>dog</b>"]["images"] == 2
    assert cells["cat", "<b>dog</b>"]["share"] == 0.2
    assert ("<b>dog</b>", "cat") not in cells
    assert sum(row["images"] for row in cells.values()) == MATRIX.sum()


def test_confusion_prints_counts_up_to_twelve_classes() -> None:
    def texts(classes: int, small: bool = False) -> int:
        spec = charts.confusion(np.eye(classes, dtype=np.int64), [f"c{k}" for k in range(classes)], small)
        return sum(layer["mark"]["type"] == "text" for layer in spec["layer"])

    assert (texts(12), texts(13), texts(5, small=True), texts(6, small=True)) == (2, 0, 2, 0)


def test_class_bars_rank_the_classes_and_hold_their_intervals() -> None:
    ranked = [row for row in rows(charts.class_bars(EVALUATION.classes, 0.5)) if "class" in row]
    assert [row["class"] for row in ranked] == ["cat", "bird"]
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in ranked)


def height(svg: str) -> float:
    return float(svg.split('height="')[1].split('"')[0])


def test_very_many_classes_lose_their_names_and_not_their_rows() -> None:
    labels = np.arange(200)
    certain = Predictions(labels.astype(str), labels, np.eye(200, dtype=np.float32))
    for classes in (60, 200):
        names = tuple(f"kind {k}" for k in range(classes))
        few = Predictions(certain.ids[:classes], labels[:classes], certain.probabilities[:classes, :classes])
        test = measure(few, names, loss=0.5)
        specs = {
            "histogram": charts.histogram(names, range(1, classes + 1), "images"),
            "confusion": charts.confusion(test.confusion, names),
            "class bars": charts.class_bars(test.classes, test.accuracy),
            "class dots": class_accuracy.chart(by_class(names, {"a": [0.5] * classes, "b": [0.7] * classes})),
        }
        for what, spec in specs.items():
            assert {row.get("class", row.get("true")) for row in rows(spec)} >= set(names), what
            drawn = vega.svg(spec, 800)
            assert (">kind 7<" in drawn) == (classes == 60), what
            assert height(drawn) < 1600, what


def test_the_ticks_beside_a_single_value_are_true() -> None:
    """Without room on both sides the only tick was rounded to a whole number: 41 % for 40.8 %."""
    drawn = vega.svg(class_accuracy.chart(by_class(NAMES, {"a": [0.408, None, 0.408]})), 500)
    assert {"40\u202f%", "42\u202f%"} <= (ticks := set(re.findall(r">([^<]+)</text>", drawn)))
    assert "41\u202f%" not in ticks


@pytest.mark.parametrize(("value", "domain"), [(1.0, [0.9, 1.0]), (0.5, [0.45, 0.55]), (0.0, [0.0, 0.1])])
def test_room_beside_a_single_share_ends_at_none_and_all(value: float, domain: list[float]) -> None:
    assert vega.even([np.array([value, np.nan, value])], most=1).to_dict() == {"zero": False, "domain": domain}


@pytest.mark.parametrize("name", list(ALL))
def test_every_specification_follows_the_schema(name: str) -> None:
    alt.Chart.from_dict({**ALL[name], "width": "container"}, validate=True)


def test_the_schema_rejects_what_altair_does_not_know() -> None:
    with pytest.raises(Exception, match=r"(?s)unexpected|is not|schema"):
        alt.Chart.from_dict({**ALL["reliability"], "layr": []}, validate=True)


def test_the_bundle_defines_what_the_page_calls_and_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)
    vega.javascript.cache_clear()
    code = vega.javascript()
    assert "window.vegaEmbed" in code
    (kept,) = (tmp_path / "firstlight").iterdir()
    kept.write_text("kept", "utf-8")
    vega.javascript.cache_clear()
    assert vega.javascript() == "kept"
    kept.unlink()
    (tmp_path / "firstlight").rmdir()
    (tmp_path / "firstlight").write_text("no folder", "utf-8")
    vega.javascript.cache_clear()
    assert vega.javascript() == code
    vega.javascript.cache_clear()


def test_an_axis_of_few_images_has_each_whole_number_once() -> None:
    for most in range(5):
        ticks = re.findall(r">([\d.]+)</text>", vega.svg(charts.histogram(("a",), [most], "images"), 300))
        assert len(ticks) == len(set(ticks))
        assert str(most) in ticks


def _luminance(colour: np.ndarray) -> float:
    linear = np.where(colour <= 0.03928, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def _contrast(first: np.ndarray, second: np.ndarray) -> float:
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_the_counts_on_the_diagonal_are_read_against_their_cells(dark: bool) -> None:
    """At least 4.5 to 1 where a class is recognized well or badly; 4 between, where neither ink does better."""
    palette = (Path(vega.__file__).parent / "palette.css").read_text("utf-8")
    named = [dict(re.findall(r"--([\w-]+): #([0-9a-f]{6})", part)) for part in palette.split("@media")]
    colours = {
        name: np.array([int(c[i : i + 2], 16) / 255 for i in (0, 2, 4)]) for name, c in (named[0] | named[dark]).items()
    }
    for share in np.linspace(0, 1, 41):
        opacity = 0.04 + 0.96 * np.sqrt(share)
        for fill in ("hit", "miss"):
            cell = opacity * colours[fill] + (1 - opacity) * colours["wash"]
            ink = "on-hit" if fill == "hit" and share > charts.DARK_FROM else "ink"
            least = 4.5 if share > 0.85 and fill == "hit" else 3.9
            assert _contrast(cell, colours[ink]) >= least, (share, fill)
