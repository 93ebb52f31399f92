"""Constraints: what fits, the words for it and the schema say the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from annotated_types import Ge, Gt, Interval, Le, Lt, MaxLen, MinLen, Unit
from hypothesis import given
from hypothesis import strategies as st

from firstlight.constraints import Fits, OneOf, Words, as_tuple, fits, in_words, refusal, value_schema
from firstlight.layers import Flatten, Layer

NAMES = {"first": 1, "second": 2}

WORDS: list[tuple[Any, str, list[Any], list[Any]]] = [
    (bool, "true or false", [True], [1, "true", None]),
    (int, "an integer", [0, -3], [True, 1.0, "1", None, np.float64(1)]),
    (float, "a number", [0, 1.5, -2, np.float64(2)], [True, "1", float("inf"), 10**400, None]),
    (Annotated[float, Gt(0)], "a number above 0", [1e-9], [0, -1]),
    (Annotated[float, Ge(0)], "a number from 0", [0, 5], [-1e-9]),
    (Annotated[float, Lt(3)], "a number below 3", [2.9], [3]),
    (Annotated[float, Le(3)], "a number up to 3", [3], [3.1]),
    (Annotated[float, Ge(0), Lt(1)], "a number from 0 to below 1", [0, 0.99], [1, -1]),
    (Annotated[float, Ge(0), Le(1)], "a number from 0 to 1", [0, 1], [1.1]),
    (Annotated[float, Gt(0), Le(1)], "a number above 0, to 1", [1], [0]),
    (Annotated[float, Gt(0), Lt(1)], "a number above 0 and below 1", [0.5], [0, 1]),
    (Annotated[float, Interval(ge=0, le=0.5)], "a number from 0 to 0.5", [0.5], [0.6]),
    (Annotated[float, Ge(0), Unit("epochs")], "a number of epochs from 0", [2.5], [-1]),
    (Annotated[int, Ge(1), Unit("epochs")], "a whole number of epochs from 1", [2], [0, 2.5]),
    (str, "a string", ["", "x"], [1]),
    (Annotated[str, MinLen(1)], "a non-empty string", ["x"], [""]),
    (Annotated[str, Fits(str.islower, "small letters")], "small letters", ["x"], ["X", 1]),
    (Literal["max", "average"], "max or average", ["max"], ["min", None]),
    (Annotated[int, Ge(1)] | None, "an integer from 1", [1, None], [0]),
    (int | Literal["same"], "an integer or same", [1, "same"], ["valid"]),
    (tuple[int, ...], "a list of integers", [(), (1,)], [[1], (1.5,), 1]),
    (Annotated[tuple[int, ...], MinLen(1)], "a list of at least one integer", [(1,)], [()]),
    (Annotated[tuple[float, ...], MinLen(2)], "a list of at least 2 numbers", [(1, 2)], [(1,)]),
    (tuple[Literal["max", "min"], ...], "a list of max or min", [("max",)], [("c",)]),
    (Sequence[float], "a list of numbers", [(), [1, 2.5], (3,)], ["12", ("x",), 1]),
    (tuple[float, float], "a pair of numbers", [(1, 2.5)], [(1,), 3]),
    (Annotated[str, OneOf(NAMES)], "first or second", ["first"], ["third", 1]),
    (Annotated[int | tuple[int, int], Words("one or two")], "one or two", [1, (1, 2)], ["x"]),
    (tuple[int, float], "a list of an integer and a number", [(1, 0.5)], [(1,), (0.5, 1), 3]),
    (Layer, "a layer", [Flatten()], ["layer"]),
    (tuple[Layer, ...], "a tuple of layers", [(Flatten(),)], [(1,)]),
    (Any, "anything", [1, None], []),
]


@pytest.mark.parametrize(("annotation", "words", "good", "bad"), WORDS, ids=[each[1] for each in WORDS])
def test_constraints_in_words(annotation: Any, words: str, good: list[Any], bad: list[Any]) -> None:
    assert in_words(annotation) == words
    assert [value for value in good if not fits(annotation, value)] == []
    assert [value for value in bad if fits(annotation, value)] == []


@given(
    low=st.one_of(st.none(), st.integers(-5, 5)),
    high=st.one_of(st.none(), st.integers(-5, 5)),
    value=st.floats(-8, 8) | st.integers(-8, 8),
)
def test_the_schema_allows_what_fits(low: int | None, high: int | None, value: float) -> None:
    bounds = ([] if low is None else [Ge(low)]) + ([] if high is None else [Lt(high)])
    annotation = Annotated.__class_getitem__((float, *bounds, Unit("s")))  # type: ignore[attr-defined]
    schema = value_schema(annotation)
    allowed = value >= schema.get("minimum", -9) and value < schema.get("exclusiveMaximum", 9)
    assert allowed == fits(annotation, value)


def test_the_schema_of_texts_lists_and_choices() -> None:
    assert value_schema(Annotated[str, MinLen(1), MaxLen(9)]) == {"type": "string", "minLength": 1, "maxLength": 9}
    assert value_schema(Annotated[tuple[int, ...], MinLen(2)])["minItems"] == 2
    assert value_schema(tuple[int, str])["prefixItems"] == [{"type": "integer"}, {"type": "string"}]
    assert value_schema(int | None) == {"type": "integer"}
    assert value_schema(int | str) == {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert value_schema(Layer) == {}


def test_lists_become_tuples() -> None:
    assert as_tuple([1, [2, (3,)], "ab", {"a": [1]}]) == (1, (2, (3,)), "ab", {"a": [1]})


def test_a_refusal_names_the_nearest_of_many() -> None:
    many = Annotated[
        str, OneOf([f"{word}_{law}" for word in ("he", "lecun", "glorot") for law in ("normal", "uniform")])
    ]
    assert refusal(Annotated[float, Ge(0)], -1) == "must be a number from 0; received -1."
    assert refusal(Literal["max", "average"], "averge") == (
        "must be max or average; received 'averge'. Did you mean average?"
    )
    assert refusal(many, "he_norml").startswith(
        "must be one of those known; received 'he_norml'. Did you mean he_normal"
    )
    assert refusal(many, 3).startswith("must be he_normal, he_uniform, lecun_normal")
    assert len(refusal(str, 10**999)) < 300


def test_an_array_is_none_of_the_names_and_no_error() -> None:
    assert not fits(Literal["a", "b"], np.zeros(2))
