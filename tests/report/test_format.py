"""Numbers as people read them."""

from __future__ import annotations

import pytest

from firstlight.report.format import bare_percent, count, counted, date, decimal, interval, percent, seconds


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
