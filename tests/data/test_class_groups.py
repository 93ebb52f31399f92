"""Classes regrouped, or some of them alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight import data
from firstlight.errors import DataError
from firstlight.types import Dataset, Images

PARITY = {"even": ["0", "2", "4", "6", "8"], "odd": ["1", "3", "5", "7", "9"]}


@pytest.fixture(scope="module")
def splits(digits: Dataset) -> dict[str, Images]:
    return data.split(digits)


def test_each_image_comes_into_the_class_that_its_own_belongs_to(splits: dict[str, Images]) -> None:
    regrouped = data.regroup(splits, PARITY)
    for name, images in splits.items():
        assert regrouped[name].class_names == ("even", "odd")
        assert (regrouped[name].labels == images.labels % 2).all()
        assert (regrouped[name].ids == images.ids).all(), "the splits are those drawn before"
        assert (regrouped[name].pixels == images.pixels).all()


def test_images_of_other_classes_are_left_out(splits: dict[str, Images]) -> None:
    regrouped = data.regroup(splits, {"nine": ["9"], "one": ["1"]})
    for name, images in splits.items():
        assert (regrouped[name].ids == images.ids[np.isin(images.labels, (1, 9))]).all()
        assert (regrouped[name].counts == [np.sum(images.labels == 9), np.sum(images.labels == 1)]).all()


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"all": ["1"]}, "at least two classes; received all"),
        ({"a": ["1"], "b": []}, r"data\.regroup\.b lists no class"),
        ({"a": ["1"], "b": ["seven"]}, r"data\.regroup\.b: there is no class 'seven'"),
        ({"a": ["1"], "b": ["2", "1"]}, "'1' is in a and in b"),
    ],
)
def test_what_cannot_be_regrouped_is_named(
    splits: dict[str, Images], groups: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        data.regroup(splits, groups)


def test_a_split_must_not_become_empty(splits: dict[str, Images]) -> None:
    ones = splits["test"].take(splits["test"].labels == 1)
    with pytest.raises(DataError, match="test split has no images of 2, 3"):
        data.regroup({**splits, "test": ones}, {"a": ["2"], "b": ["3"]})


# --- some of the classes ----------------------------------------------------------------------------------------------


def test_a_subset_has_the_images_of_its_classes_in_the_order_asked_for(splits: dict[str, Images]) -> None:
    some = data.subset(splits, ["7", "1", "4"])
    for name, images in splits.items():
        assert some[name].class_names == ("7", "1", "4")
        kept = np.isin(images.labels, (7, 1, 4))
        assert (some[name].ids == images.ids[kept]).all()
        assert (np.array([7, 1, 4])[some[name].labels] == images.labels[kept]).all()
        assert (some[name].pixels == images.pixels[kept]).all()


@st.composite
def groupings(draw: st.DrawFn) -> dict[str, list[str]]:
    """Some of ten digits in two groups or more."""
    digits = draw(st.permutations([str(k) for k in range(10)]))
    cuts = draw(st.sets(st.integers(1, 10), min_size=2, max_size=5))
    edges = [0, *sorted(cuts)]
    return {f"g{i}": digits[a:b] for i, (a, b) in enumerate(pairwise(edges))}


@given(groupings(), st.randoms(use_true_random=False))
def test_a_subset_before_regrouping_changes_nothing(groups: dict[str, list[str]], random: Any) -> None:
    labels = np.random.default_rng(0).permutation(np.arange(60) % 10)
    names = tuple(str(k) for k in range(10))
    images = Images(np.zeros((60, 1, 1, 1), np.uint8), labels, np.arange(60).astype(str), names)
    classes = [member for members in groups.values() for member in members]
    random.shuffle(classes)
    direct = data.regroup({"train": images}, groups)["train"]
    some = data.subset({"train": images}, classes) if len(classes) > 1 else {"train": images}
    assert data.regroup(some, groups)["train"].digest == direct.digest
    assert direct.counts.tolist() == [6 * len(members) for members in groups.values()]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["1"], r"data\.classes needs at least two classes; received 1"),
        (["1", "tow"], r"data\.classes: there is no class 'tow'"),
        (["1", "2", "1"], r"data\.classes names '1' more than once"),
    ],
)
def test_what_is_no_subset_is_named(splits: dict[str, Images], classes: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        data.subset(splits, classes)
