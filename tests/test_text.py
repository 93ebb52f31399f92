"""Lists in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from firstlight.text import listed


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
