"""Numbers as people read them."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from firstlight import image_encoding
from firstlight.report.format import bare_percent, count, counted, date, decimal, interval, percent, seconds
from firstlight.report.render import html
from firstlight.text import listed


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
    assert [listed(list(words)) for words in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]


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


@pytest.mark.parametrize(
    ("shape", "stored", "shown"),
    [
        ((8, 8, 1), (8, 8), (112, 112)),
        ((28, 28, 1), (28, 28), (112, 112)),
        ((32, 32, 3), (32, 32), (96, 96)),
        ((200, 100, 3), (40, 80), (56, 112)),
    ],
)
def test_images_are_stored_small_and_shown_by_whole_factors(
    shape: tuple[int, int, int], stored: tuple[int, int], shown: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    image = Image.open(io.BytesIO(base64.b64decode(image_encoding.small_uri(pixels).partition(",")[2])))
    assert image.size == stored
    assert image_encoding.shown_size(pixels) == shown
    if max(shape) <= image_encoding.STORED:
        np.testing.assert_array_equal(np.asarray(image).reshape(shape), pixels)


def test_json_and_code_cannot_close_their_script() -> None:
    assert html.embedded({"a": "</script><!--&"}) == '{"a":"\\u003c/script\\u003e\\u003c!--\\u0026"}'
    assert html.script("a('</SCRIPT>')") == "a('\\x3c/SCRIPT>')"
