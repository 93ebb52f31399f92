"""Classes put together anew."""

from __future__ import annotations

import numpy as np
import pytest

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
        ({"a": ["1"], "b": []}, r"data\.regroup\.b names no class"),
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
    with pytest.raises(DataError, match="leaves the test split without images"):
        data.regroup({**splits, "test": ones}, {"a": ["2"], "b": ["3"]})
