"""Numbers as people read them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import firstlight
from firstlight.records.result import Shown, shown
from firstlight.report.format import (
    WRITTEN,
    bare_percent,
    count,
    counted,
    date,
    decimal,
    interval,
    percent,
    recorded,
    seconds,
)


def plain(text: str) -> str:
    return text.replace("\u202f", " ").replace("\u2060", "")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.98333, "98.3"), (1.0, "100.0"), (0.99999, ">99.9"), (0.0, "0.0"), (0.0001, "<0.1"), (None, "—")],
)
def test_only_a_whole_is_a_hundred_percent(value: float | None, shown: str) -> None:
    assert bare_percent(value) == shown


def test_shares_and_counts() -> None:
    assert plain(percent(0.5)) == "50.0 %"
    assert plain(percent(0.999, 0)) == ">99 %"
    assert plain(interval((0.9637, 0.992))) == "96.4–99.2 %"
    assert interval(None) == percent(None) == "—"
    assert plain(count(14_748_426)) == "14,748,426"
    assert [counted(n, noun) for n, noun in ((1, "image"), (2, "image"), (2, "class"))] == [
        "1 image",
        "2 images",
        "2 classes",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.417, "0.42 s"),
        (12.34, "12.3 s"),
        (59.97, "1 min 00 s"),
        (245, "4 min 05 s"),
        (4321, "1 h 12 min"),
        (None, "—"),
    ],
)
def test_durations(value: float | None, shown: str) -> None:
    assert plain(seconds(value)) == shown


def test_large_numbers_keep_to_their_line() -> None:
    assert [decimal(value) for value in (0.43216, 3.6e30, -2e7, None)] == ["0.4322", "3.6e+30", "-2e+07", "—"]


def test_dates() -> None:
    assert date("2026-11-21T01:13:36+00:00") == "21 November 2026, 01:13"
    assert date(None) == ""
    assert date("yesterday") == "yesterday"


def test_each_way_to_write_a_recorded_number_is_known_to_the_report_and_to_the_dashboard() -> None:
    ways = get_args(get_type_hints(Shown)["text"])
    assert set(ways) == set(WRITTEN)
    script = (Path(firstlight.__file__).parent / "app" / "pages" / "runs" / "page.js").read_text("utf-8")
    table = script.partition("const WRITTEN = {")[2].partition("};")[0]
    assert set(re.findall(r"^  (\w+)[:,]", table, re.MULTILINE)) == set(ways)


def test_recorded_numbers_are_written_as_their_record_says() -> None:
    assert recorded(shown()["images_per_second"], 12_345.6) == "12,346 images/s"
    assert recorded(shown()["parameters.total"], 61_706) == "61,706"
    assert plain(recorded(shown()["seconds.train"], 12.34)) == "12.3 s"
    assert recorded(shown()["seconds.train"], None) == "—"
    assert recorded(Shown("Energy", "significant", " kWh"), 0.000123) == "0.000123 kWh"
