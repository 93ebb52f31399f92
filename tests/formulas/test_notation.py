"""Formulas are read as they are meant, and what is none is refused at the character where it goes wrong."""

from __future__ import annotations

import pytest
from tests.formulas.values import value

from firstlight.formulas import FormulaError, parse

NAMES = {"a": 7.0, "b": 3.0, "c": 2.0, "d": 5.0, "x": 0.5, "KN": 0.0, "K": 4.0, "N": 6.0, "lr": 0.1, "β₁": 0.9, "t": 3}
READ = {
    "a b / c d": 7 * 3 / 2 * 5,
    "a · b / c": 7 * 3 / 2,
    "a / 2b": 7 / 6,
    "2 (a − b) / KN": 8 / 24,
    "a − b − c": 2,
    "−a + b": -4,
    "lr a": 0.7,
    "a / β₁ᵗ": 7 / 0.9**3,
    "1 − β₁ᵗ⁺¹": 1 - 0.9**4,
    "c^(a − b) / 2": 8,
    "√(a + c) b": 9,
    "a² / (b + c)²": 49 / 25,
    "⌊a/c⌋": 3,
    "|b − a|": 4,
    "{a + [b − c]} d": 40,
    "max(a, b) − min(a, b)": 4,
    "log(exp x)": 0.5,
    "a where b > 5, else c": 2,
    "a where b < 5, d where b < 9, else c": 7,
    "∞": float("inf"),
    "1.5 ½": 0.75,
}


@pytest.mark.parametrize("text", READ)
def test_strokes_spaces_and_signs_bind_as_on_paper(text: str) -> None:
    assert value(parse(text), NAMES) == pytest.approx(READ[text], rel=1e-12)


REFUSED = {
    "": 1,
    "y = ": 5,
    "y = (a + b": 11,
    "y = a + b)": 10,
    "y = a - b": 7,
    "y = a // b": 8,
    "y = x_1": 6,
    "y = α (eˣ − 1": 14,
    "x where": 3,
    "x where x > 0": 3,
    "y = µ": 5,  # the sign for a millionth, and not the letter
    "y = x\u0331": 5,
    "f(x; y": 7,
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_formula_is_refused_where_it_goes_wrong(text: str) -> None:
    with pytest.raises(FormulaError, match=f"at character {REFUSED[text]} |accent that is not known"):
        parse(text)
