"""Names that people gave, in charts: none is a key of the drawing library, and none is cut within a letter."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from tests.report.sections.test_per_class import by_class

from firstlight.report.render import vega
from firstlight.report.sections import class_counts, confusion, learning, per_class

# Every JavaScript object has these.
INHERITED = (
    *("constructor", "toString", "valueOf", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable"),
    *("toLocaleString", "__proto__", "__defineGetter__", "__lookupSetter__"),
)
EMOJI = "happy customer 😀with a smile"
HISTORY = dict.fromkeys(("loss", "accuracy"), np.linspace(0.1, 0.9, 3))


def named(names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Charts that tell classes or runs of these names apart, by place, colour and shape."""
    n = len(names)
    return {
        "histogram": class_counts.chart(names, range(1, n + 1), "images"),
        "confusion": confusion.chart(
            confusion.Confusion("a", names, np.ones((n, n), np.int64) + 5 * np.eye(n, dtype=np.int64))
        ),
        "class dots": per_class.chart(by_class(names, {name: [0.5] * n for name in names})),
        "learning": learning.overlay([learning.of_history(HISTORY, name) for name in names], "accuracy"),
        "differences": per_class.differences_chart(
            by_class(names, {"leader": [0.5] * n, **{name: [0.6] * n for name in names}})
        ),
    }


def marks(svg: str) -> tuple[int, list[str]]:
    """How many shapes a drawing has, and what it says."""
    return svg.count("<path"), re.findall(r">([^<]+)</text>", svg)


@pytest.mark.parametrize("which", list(named(("a", "b"))))
def test_a_name_that_every_object_has_is_drawn_as_any_other(which: str) -> None:
    ours, others = INHERITED[:10], tuple(f"{name}s" for name in INHERITED[:10])
    (shapes, said), (wanted, plain) = (marks(vega.svg(named(names)[which], 1600)) for names in (ours, others))
    assert shapes == wanted
    assert len(said) == len(plain)
    assert {name for name in ours if len(name) < 12} <= set(said)


@pytest.mark.parametrize("which", list(named(("a", "b"))))
def test_letters_beyond_the_basic_plane_are_drawn_at_every_length(which: str) -> None:
    names = tuple("i" * k + "😀" * 6 for k in range(2, 40, 5))
    shapes, said = marks(vega.svg(named(names)[which], 900))
    assert shapes
    assert sum("😀" in text for text in said) >= len(names) // 2
    assert any(text.endswith("…") for text in said) == (which != "learning")  # legends have more room


def test_no_name_is_a_key_of_a_specification_and_every_tooltip_has_it_whole() -> None:
    for which, spec in named((EMOJI, "x" * 50)).items():
        text = json.dumps({key: value for key, value in spec.items() if key not in ("datasets", "params")})
        assert "customer" not in text, which
        assert "xxx" not in text, which
        rows = [row for values in spec["datasets"].values() for row in values]
        assert {row.get("class", row.get("true", row.get("run"))) for row in rows} == {EMOJI, "x" * 50}, which


def test_truth_values_stay_as_they_are() -> None:
    cells = named(("a", "b"))["confusion"]["layer"][0]["encoding"]
    assert cells["fill"]["scale"]["domain"] == [True, False]
    assert cells["x"]["scale"]["domain"] == [0, 1]
