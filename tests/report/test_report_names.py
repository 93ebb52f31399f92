"""Names that people gave, in charts and texts: what they hold breaks nothing, and none is cut within a letter."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from tests.report.run_folders import MakeRun
from tests.report.sections.test_per_class import by_class

from firstlight.report import build_document, render_html, render_pdf
from firstlight.report.render import vega
from firstlight.report.sections import class_counts, confusion, learning, per_class
from firstlight.text import LONGEST, cut, display_names, encodable, printable, text_width

# Every JavaScript object has these.
INHERITED = (
    *("constructor", "toString", "valueOf", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable"),
    *("toLocaleString", "__proto__", "__defineGetter__", "__lookupSetter__"),
)
EMOJI = "happy customer 😀with a smile"
HISTORY = dict.fromkeys(("loss", "accuracy"), np.linspace(0.1, 0.9, 3))
FAMILY = "👩‍👩‍👧‍👦"


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


@pytest.mark.parametrize("letter", ["a", "😀", "́", FAMILY, "界", "👍🏽"])
def test_a_cut_name_has_room_and_ends_between_letters(letter: str) -> None:
    text = letter * 40
    for pixels in range(30, 200, 7):
        short = cut(text, pixels, 11)
        if short != text:
            assert short.endswith("…")
            assert (short[:-1].count(letter) * len(letter)) == len(short) - 1
        assert text_width(short, 11) <= pixels
    assert cut("short", 110, 11) == "short"


def test_long_names_stay_apart_and_short_ones_as_they_are() -> None:
    names = ("cat", "x" * 10_000 + "a", "x" * 10_000 + "b", "y" * 10_000, "y" * 9_999, FAMILY * 30)
    shown = display_names(names)
    assert shown[0] == "cat"
    assert len(set(shown)) == len(names)
    assert max(map(len, shown)) <= LONGEST + len(" (2)")
    assert shown[1].endswith("a")
    assert shown[4] == f"{shown[3]} (2)"
    assert shown[5].replace("…", "").replace(FAMILY, "") == ""
    assert display_names(("a",) * 3) == ("a", "a (2)", "a (3)")


def test_what_no_file_may_hold_is_shown_all_the_same() -> None:
    assert printable("caf\udce9") == "caf\\xe9"
    assert printable("\ud83d\x00\ufffe") == "\ufffd" * 3
    assert encodable("caf\udce9\ud83d\x00") == "caf\\xe9\ufffd\x00"
    assert printable(f"{EMOJI} é界") == f"{EMOJI} é界"


def test_a_report_of_odd_names_is_whole_and_small(make_run: MakeRun) -> None:
    run, plain = make_run(class_names=(EMOJI, "constructor", "__proto__", "long" * 2500)), make_run("plain")
    page = render_html(run)
    assert "could not be drawn" not in page
    assert "long" * 30 not in page
    assert len(page) < 1.1 * len(render_html(plain))
    assert render_pdf(run).startswith(b"%PDF")


def test_the_title_of_a_report_tells_bytes_that_are_no_text(make_run: MakeRun) -> None:
    page = render_html(make_run("caf\udce9"))
    page.encode()
    assert re.search(r"run caf\\(xe9|udce9)", page)
    assert build_document(make_run("b")).title == "lenet5 on animals"
