"""Sizes as users write them."""

from __future__ import annotations

import numpy as np
import pytest

from firstlight.options import read_sides, read_size, split_docstring


@pytest.mark.parametrize("value", [28, "28", " 28 ", np.int64(28), "28x28", "28×28", "28X28", [28, 28], (28, 28)])
def test_one_size_in_every_form(value: object) -> None:
    assert read_size(value) == (28, 28)


def test_a_size_is_a_height_and_a_width() -> None:
    assert read_size("28x32") == (28, 32)
    assert read_size(None) is None
    assert read_sides("28x32x3") == [28, 32, 3]


@pytest.mark.parametrize(
    "value", ["", "x", "28x", "28x28x3", "-1", "2.5", 28.0, True, [], [28], [1, 2, 3], {}, "9" * 5000]
)
def test_what_is_no_size(value: object) -> None:
    with pytest.raises(ValueError, match=r"\[28, 32\] or 28x32"):
        read_size(value)


def test_a_docstring_is_what_it_says_of_names_and_the_rest() -> None:
    doc = """The first line.

    More.

    one, two  both of them,
              on two lines
    three     another

    At the end.
    """
    rest, texts = split_docstring(doc)
    assert rest == "The first line.\n\nMore.\n\n\nAt the end."
    assert texts == dict.fromkeys(("one", "two"), "both of them, on two lines") | {"three": "another"}
    assert split_docstring(None) == ("", {})
