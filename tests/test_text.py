"""Lists in sentences; names that people gave: printable, of bounded length, distinct, and cut between letters alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from firstlight.text import LONGEST, cut, display_names, encodable, listed, printable, size_said, text_width

EMOJI = "happy customer 😀with a smile"
FAMILY = "👩‍👩‍👧‍👦"


@pytest.mark.parametrize(
    ("words", "options", "text"),
    [
        ([], {}, ""),
        (["a"], {}, "a"),
        (["a", "b"], {}, "a and b"),
        (["a", "b", "c"], {"last": "or"}, "a, b or c"),
        ("abcd", {"most": 4}, "a, b, c and d"),
        ("abcd", {"most": 2}, "a, b and 2 more"),
        ("abcd", {"separator": "; "}, "a; b; c and d"),
    ],
)
def test_words_are_listed_as_in_a_sentence(words: Sequence[str], options: dict[str, Any], text: str) -> None:
    assert listed(words, **options) == text


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


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0.0 kB"),
        (2_000, "2.0 kB"),
        (99_900, "99.9 kB"),
        (100_000, "0.1 MB"),
        (5_300_000, "5.3 MB"),
        (1_500_000_000, "1,500 MB"),
    ],
)
def test_sizes(size: int, said: str) -> None:
    assert size_said(size) == said
