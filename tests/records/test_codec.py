"""The codec: what a file holds comes back as the record that was written, and what is none is named with its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from firstlight.errors import brief
from firstlight.records import run_folder
from firstlight.records.codec import LONGEST, Axes, MismatchError, decode, encode, not_kept, omitted, others, said
from firstlight.records.record_files import read_record
from firstlight.records.result import Hashes
from firstlight.records.run_folder import HASHES, RESULT, STUDY, RunFolder
from firstlight.records.search_folder import TuneFolder
from firstlight.records.study_folder import StudyFolder
from firstlight.records.values import Count, Names, Share
from firstlight.types import Array

KEPT = Path(__file__).parent / "kept"


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, kw_only=True)
class Inner:
    share: Share = 0.5
    of: Mapping[str, Count] = omitted(make=dict, key="from")


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    colour: Colour = Colour.RED
    side: Literal["left", "right"] = "left"
    names: Names = ("a",)
    pair: tuple[float, float] | None = None
    either: int | bool | tuple[str, ...] = 1
    inner: tuple[Inner, ...] = ()
    note: str = omitted("")
    cache: str = not_kept("")
    others: Mapping[str, Any] = others()

    def __post_init__(self) -> None:
        if self.name == "bad":
            raise ValueError("the name is bad")


@dataclass(frozen=True, eq=False)
class Pictures:
    pixels: Annotated[Array, Axes("u", "nhwc")]
    weights: Annotated[Array, Axes("f", "n")] | None = None


def test_a_record_is_read_back_as_it_was_written() -> None:
    record = Outer(
        name="x",
        colour=Colour.BLUE,
        pair=(1.0, 2.5),
        either=("a", "b"),
        inner=(Inner(share=1.0, of={"b": 2}), Inner()),
        cache="not written",
        others={"later": [1]},
    )
    value = json.loads(json.dumps(encode(record)))
    assert value == {
        "name": "x",
        "colour": "blue",
        "side": "left",
        "names": ["a"],
        "pair": [1.0, 2.5],
        "either": ["a", "b"],
        "inner": [{"share": 1.0, "from": {"b": 2}}, {"share": 0.5}],
        "later": [1],
    }
    again = decode(Outer, value)
    assert encode(again) == value
    assert (again.colour, again.inner, again.others) == (Colour.BLUE, record.inner, {"later": [1]})


@pytest.mark.parametrize(
    ("change", "place", "said"),
    [
        ({"name": None}, "name", "must be a string; received None"),
        ({"name": "bad"}, "", "the name is bad"),
        ({"colour": "green"}, "colour", "must be one of 'red', 'blue'; received 'green'"),
        ({"side": 1}, "side", "must be one of 'left', 'right'; received 1"),
        ({"names": ["a", "a"]}, "names", "must be a list of names, each once; received a list"),
        ({"names": "a"}, "names", "must be a list; received 'a'"),
        ({"pair": [1]}, "pair", "must be a list of 2 values; received 1"),
        ({"pair": [1, True]}, "pair.1", "must be a number; received True"),
        ({"pair": [1, float("nan")]}, "pair.1", "must be a number; received nan"),
        ({"pair": [1, 10**309]}, "pair.1", f"must be a number; received {brief(str(10**309), LONGEST)}"),
        ({"either": 1.5}, "either", "must be an integer or true or false or a list; received 1.5"),
        ({"inner": {}}, "inner", "must be a list; received a table"),
        ({"inner": [{"share": 2}]}, "inner.0.share", "must be a number from 0 to 1; received 2"),
        ({"inner": [{}, {"from": {"a": -1}}]}, "inner.1.from.a", "must be an integer of at least 0; received -1"),
    ],
)
def test_what_is_no_such_record_is_named_with_its_place(change: dict[str, Any], place: str, said: str) -> None:
    with pytest.raises(MismatchError) as told:
        decode(Outer, {"name": "x"} | change)
    assert told.value.place == place
    assert str(told.value) == (f"{place}: {said}" if place else said)


def test_a_whole_number_is_written_again_as_one() -> None:
    """So that a record that is read and written again has the same bytes."""
    value = encode(decode(Outer, {"name": "x", "pair": [0, 0.0]}))
    assert json.dumps(value["pair"]) == "[0, 0.0]"


def test_a_key_that_is_missing_or_not_known() -> None:
    with pytest.raises(MismatchError, match="it has no 'name'"):
        decode(Outer, {})
    assert decode(Inner, {"later": 1}) == Inner()
    with pytest.raises(MismatchError, match="later: is a key that is not known here"):
        decode(Inner, {"later": 1}, closed=True)


def test_arrays_lie_beside_it_and_are_checked() -> None:
    arrays: dict[str, Array] = {}
    pixels, weights = np.zeros((2, 3, 3, 1), np.uint8), np.ones(2, np.float32)
    value = encode(Pictures(pixels, weights), arrays)
    assert value == {"pixels": "a0", "weights": "a1"}
    assert decode(Pictures, value, arrays).pixels is pixels
    assert decode(Pictures, {"pixels": "a0"}, arrays).weights is None
    for changed in (
        {"a0": pixels.astype(np.int64)},
        {"a0": pixels[..., 0]},
        {"a0": np.zeros((2, 3, 3, 2), np.uint8)},
        {"a1": np.ones(3, np.float32)},
        {"a1": np.array([1, np.nan])},
    ):
        with pytest.raises(MismatchError):
            decode(Pictures, value, arrays | changed)
    with pytest.raises(MismatchError, match="the name of one of its arrays"):
        decode(Pictures, {"pixels": "a7"}, arrays)


RUNS = ("run", "diverged", "study/softmax/seed-0")


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize(
    ("file", "attribute"),
    [
        (run_folder.ENVIRONMENT, "environment"),
        (run_folder.DATA, "data"),
        (run_folder.MODEL, "model"),
        (RESULT, "result"),
    ],
)
def test_records_of_earlier_versions_are_written_as_they_were(name: str, file: str, attribute: str) -> None:
    found = json.loads((KEPT / name / file).read_text())
    record = {"format": 1, **encode(getattr(RunFolder(KEPT / name), attribute))}

    assert json.dumps(record, indent=1) == json.dumps(found, indent=1)


def test_other_records_of_earlier_versions_are_written_as_they_were() -> None:
    for path, record in (
        (KEPT / "study" / STUDY, StudyFolder.open(KEPT / "study").record),
        (KEPT / "search" / RESULT, TuneFolder.open(KEPT / "search").result),
        (KEPT / "run" / HASHES, read_record(KEPT / "run", HASHES, Hashes)),
    ):
        assert json.dumps({"format": 1, **encode(record)}) == json.dumps(json.loads(path.read_text()))


@dataclass(frozen=True)
class Named:
    inner: Inner
    pictures: Pictures
    count: Annotated[Count | None, "a count", 7] = None


def test_what_is_said_of_fields_is_found_by_their_places() -> None:
    assert said(Named, str) == {"count": "a count"}
    assert said(Named, int) == {"count": 7}
    assert list(said(Named, Axes)) == ["pictures.pixels", "pictures.weights"]
    assert said(Inner, Axes) == {}
