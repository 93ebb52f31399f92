"""The accuracy of each class: ranked with intervals of one run, and of very many classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from firstlight.evaluation import Spread, measure
from firstlight.report.render import vega
from firstlight.report.sections import class_counts, confusion, per_class
from firstlight.report.sections.per_class import ClassAccuracies
from firstlight.types import Predictions

NAMES = ("cat", "<b>dog</b>", "bird")


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


def test_class_bars_rank_the_classes_and_hold_their_intervals() -> None:
    ranked = [
        row for row in rows(per_class.bars_chart(measure(predictions(), NAMES, 0.5).classes, 0.5)) if "class" in row
    ]
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
            "histogram": class_counts.chart(names, range(1, classes + 1), "images"),
            "confusion": confusion.chart(confusion.Confusion("a", names, test.confusion)),
            "class bars": per_class.bars_chart(test.classes, test.accuracy),
            "class dots": per_class.chart(by_class(names, {"a": [0.5] * classes, "b": [0.7] * classes})),
        }
        for what, spec in specs.items():
            assert {row.get("class", row.get("true")) for row in rows(spec)} >= set(names), what
            drawn = vega.svg(spec, 800)
            assert (">kind 7<" in drawn) == (classes == 60), what
            assert height(drawn) < 1600, what


def test_the_ticks_beside_a_single_value_are_true() -> None:
    """Without room on both sides the only tick was rounded to an integer: 41 % for 40.8 %."""
    drawn = vega.svg(per_class.chart(by_class(NAMES, {"a": [0.408, None, 0.408]})), 500)
    assert {"40\u202f%", "42\u202f%"} <= (ticks := set(re.findall(r">([^<]+)</text>", drawn)))
    assert "41\u202f%" not in ticks


def test_of_many_classes_those_are_told_that_differ_most() -> None:
    draw = np.random.default_rng(0)
    names = [f"sign {k}" for k in range(43)]
    a, b = draw.random(43), draw.random(43)
    shown = [str(row[0]) for row in per_class.table(by_class(names, {"a": a.tolist(), "b": b.tolist()})).rows]
    gaps = dict(zip(names, np.abs(a - b).tolist(), strict=True))
    assert len(shown) == 20
    assert min(gaps[name] for name in shown) >= max(gap for name, gap in gaps.items() if name not in shown)
    assert shown == [name for name in names if name in shown]
