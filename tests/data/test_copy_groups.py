"""Near copies as groups, and left out of training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.data.test_near_copies import scenes

from firstlight.data import NearCopies, split
from firstlight.data.copy_groups import grouped, without_copies
from firstlight.errors import DataError
from firstlight.types import Dataset, Images


def dataset(copies: int = 20) -> Dataset:
    """Sixty pictures of two classes, of which the first ones are there mirrored too."""
    first = scenes(60)
    pixels = np.concatenate([first, first[:copies, :, ::-1]])
    labels = np.concatenate([np.arange(60) % 2, np.arange(copies) % 2])
    ids = np.array([f"{i:02}" for i in range(60)] + [f"copy of {i:02}" for i in range(copies)], np.str_)
    return Dataset("any", {"train": Images(pixels, labels, ids, ("a", "b"))})


def test_copies_become_groups() -> None:
    made = dataset()
    groups = grouped(made, NearCopies.of(made)).splits["train"].groups
    assert groups is not None
    assert len(set(groups.tolist())) == 60
    assert groups[:20].tolist() == groups[60:].tolist() == [f"{i:02}" for i in range(20)]


def test_no_split_divides_copies() -> None:
    made = dataset()
    near = NearCopies.of(made)
    for seed in range(3):
        parts = split(grouped(made, near), seed=seed)
        where = {name: part for part, images in parts.items() for name in images.ids.tolist()}
        assert all(where[f"{i:02}"] == where[f"copy of {i:02}"] for i in range(20))


def test_copies_join_the_groups_that_are_there() -> None:
    """Patients of five images each: whoever has a copy of another's image is of one group with that one."""
    made = dataset(6)
    images = made.splits["train"]
    patients = np.array([f"p{i // 5}" for i in range(60)] + ["q", "q", "q", "r", "r", "r"], np.str_)
    made = replace(made, splits={"train": replace(images, groups=patients)})
    groups = grouped(made, NearCopies.of(made)).splits["train"].groups
    assert groups is not None
    joined = {"p0", "q", "r", "p1"}  # q has copies of p0 alone, r of p0 and of p1
    assert len({group for group, patient in zip(groups, patients, strict=True) if patient in joined}) == 1
    assert len(set(groups.tolist())) == 14 - 3


def test_a_set_without_copies_has_no_groups() -> None:
    made = dataset(0)
    assert grouped(made, NearCopies.of(made)) is made


def test_copies_are_left_out_where_a_later_split_has_them() -> None:
    made = dataset()
    images = made.splits["train"]
    parts = {
        "train": images.take(np.arange(50)),
        "validation": images.take(np.r_[50:60, 60:65]),
        "test": images.take(np.r_[65:75, 0]),
    }
    parts["test"] = Images(parts["test"].pixels, parts["test"].labels, np.char.add("t ", parts["test"].ids), ("a", "b"))
    near = NearCopies.of(Dataset("any", parts))
    kept, dropped = without_copies(parts, near)
    assert dropped == {
        "train": [f"{i:02}" for i in range(15)],
        "validation": ["copy of 00"],
    }  # 00 is in the test itself
    assert kept["test"] is parts["test"]
    assert len(kept["train"]) == 35
    assert without_copies(kept, near)[1] == {}


def test_a_class_that_would_be_left_without_images() -> None:
    made = dataset(4)
    images = made.splits["train"]
    parts = {"train": images.take(np.r_[0:3]), "test": images.take(np.r_[60:64, 30:40])}
    with pytest.raises(DataError, match=r'data\.near_copies = "drop" would leave no train images of class .a. and .b.'):
        without_copies(parts, NearCopies.of(Dataset("any", parts)))
