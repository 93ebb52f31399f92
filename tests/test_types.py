"""The records refuse what does not belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from firstlight.errors import DataError
from firstlight.types import Dataset, Images, Predictions, joined


def images(**changes: Any) -> Images:
    parts: dict[str, Any] = {
        "pixels": np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1),
        "labels": np.array([0, 1, 0]),
        "ids": np.array(["a", "b", "c"]),
        "class_names": ("no", "yes"),
    }
    return Images(**(parts | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pixels": np.zeros((3, 2, 2, 1))}, "float64"),
        ({"pixels": np.zeros((3, 2, 2), np.uint8)}, r"\(3, 2, 2\)"),
        ({"pixels": np.zeros((3, 2, 2, 2), np.uint8)}, "1 or 3 channels"),
        ({"labels": np.array([0, 1])}, "3 images need 3 labels"),
        ({"labels": np.array([0, 1, 2])}, r"0\.\.1; received 0\.\.2"),
        ({"ids": np.array(["a"])}, "3 ids"),
        ({"class_names": ("same", "same")}, "same"),
        ({"groups": np.array(["a"])}, "names of 3 groups"),
        ({"groups": np.arange(3)}, "names of 3 groups; received int64"),
    ],
)
def test_images_that_do_not_fit_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        images(**changes)


def test_images_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        images().pixels[0] = 1


def test_the_callers_arrays_stay_writable() -> None:
    pixels = np.zeros((3, 2, 2, 1), np.uint8)
    images(pixels=pixels)
    pixels[0] = 1


def test_taking_keeps_everything_together() -> None:
    taken = images().take(np.array([2, 0]))
    assert taken.ids.tolist() == ["c", "a"]
    assert taken.pixels[0, 0, 0, 0] == 8
    assert taken.counts.tolist() == [2, 0]


def test_the_digest_tells_any_change() -> None:
    same = images().digest
    assert same == images().digest
    assert same == images().take(np.arange(3)).digest
    pixels = images().pixels.copy()
    pixels[1, 1, 1, 0] += 1
    changed = [images(pixels=pixels), images(labels=np.array([1, 1, 0])), images(ids=np.array(["a", "b", "d"]))]
    assert len({same, images().take(np.array([1, 0, 2])).digest, *(one.digest for one in changed)}) == 5


def test_an_id_names_one_sample() -> None:
    twice = images(ids=np.array(["a", "b", "a"]))
    with pytest.raises(DataError, match="'a' names more than one sample"):
        Dataset("mine", {"train": twice})
    with pytest.raises(DataError, match="names more than one sample"):
        Dataset("mine", {"train": images(), "test": images()})


def test_predictions_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="Predictions for 2 ids"):
        Predictions(np.array(["a", "b"]), np.array([0]), np.ones((2, 2)))


def test_groups_go_wherever_images_go() -> None:
    some = images(groups=np.array(["x", "y", "x"]))
    assert some.groups is not None
    assert not some.groups.flags.writeable
    assert some.digest == images().digest
    few = some.take(np.array([2, 1]))
    assert few.groups is not None
    assert few.groups.tolist() == ["x", "y"]
    both = joined([some, few])
    assert both.groups is not None
    assert both.groups.tolist() == ["x", "y", "x", "x", "y"]
    assert both.ids.tolist() == ["a", "b", "c", "c", "b"]
    assert joined([images(), images()]).groups is None
    with pytest.raises(DataError, match="1 of 2 parts"):
        joined([some, images()])
