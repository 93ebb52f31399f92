"""What is done about near copies: told, kept on one side of every split as one group, or left out of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from firstlight.data.near_copies import NearCopy, find, joined
from firstlight.errors import DataError
from firstlight.text import listed
from firstlight.types import SPLITS, Array, Dataset, Images
from firstlight.types import joined as all_in_one


@dataclass(frozen=True, eq=False)
class NearCopies:
    """The near copies among the images of a dataset.

    parts  the images of its splits, in the order in which `found` numbers them
    found  the pairs
    """

    parts: tuple[Images, ...]
    found: tuple[NearCopy, ...]

    @classmethod
    def of(cls, dataset: Dataset, tell: Callable[[str], None] | None = None) -> NearCopies:
        """Search all splits together. Seconds for tens of thousands of images; see `near_copies.find`."""
        parts = tuple(dataset.splits[name] for name in SPLITS if name in dataset.splits)
        return cls(parts, find(parts[0] if len(parts) == 1 else all_in_one(parts), tell))

    @cached_property
    def ids(self) -> list[str]:
        """The ids of all images, in the order in which `found` numbers them."""
        return [name for part in self.parts for name in part.ids.tolist()]

    @cached_property
    def places(self) -> dict[str, int]:
        """Where the images that have a near copy are, by id."""
        return {self.ids[place]: place for copy in self.found for place in (copy.first, copy.second)}

    def pixels(self, place: int) -> Array:
        """Those of the image at a place, uint8 (H, W, C)."""
        for part in self.parts:
            if place < len(part):
                return part.pixels[place]
            place -= len(part)
        raise IndexError(place)

    def groups(self) -> Array:
        """For each image the id of the first one of its group, str (N,): what copies, near or exact, join."""
        prints = np.concatenate([part.fingerprints for part in self.parts])
        _, first, same = np.unique(prints, return_index=True, return_inverse=True)
        pairs = [(int(first[k]), i) for i, k in enumerate(same.tolist()) if first[k] != i]
        roots = joined(len(prints), [*pairs, *((copy.first, copy.second) for copy in self.found)])
        return np.array(self.ids)[roots]


def grouped(dataset: Dataset, near: NearCopies) -> Dataset:
    """The dataset with copies as groups, together with the groups that its images have already.

    Images that are copies of one another are of one group, and so are all images of two groups of which one image is a
    copy of one of the other. Where no image has a copy, the dataset stays as it is.
    """
    groups, start = near.groups(), 0
    if len(set(groups.tolist())) == len(groups):
        return dataset
    given = [part.groups for part in near.parts]
    if all(names is not None for names in given):
        groups = _united(groups, np.concatenate([names for names in given if names is not None]))
    splits = {}
    for name in (name for name in SPLITS if name in dataset.splits):
        images = dataset.splits[name]
        splits[name] = replace(images, groups=groups[start : start + len(images)])
        start += len(images)
    return replace(dataset, splits=splits)


def _united(one: Array, other: Array) -> Array:
    """The groups that are left when images share either of two groups, by the names of the second."""
    _, first, same = np.unique(one, return_index=True, return_inverse=True)
    _, first2, same2 = np.unique(other, return_index=True, return_inverse=True)
    pairs = [(int(first[k]), i) for i, k in enumerate(same.tolist())]
    pairs += [(int(first2[k]), i) for i, k in enumerate(same2.tolist())]
    return other[joined(len(one), pairs)]


def without_copies(splits: Mapping[str, Images], near: NearCopies) -> tuple[dict[str, Images], dict[str, list[str]]]:
    """The splits without the images of which a later split (of train, validation, test) has a copy; and their ids.

    The test images all stay. Of the validation images those stay that have no copy in the test, as a model is chosen by
    them; of the training images those that have none in either.

    Raises DataError where no image of a split, or of a class that it had, would be left.
    """
    group = dict(zip(near.ids, near.groups().tolist(), strict=True))
    later: set[str] = set()
    kept, dropped = dict(splits), {}
    for name in reversed([name for name in SPLITS if name in splits]):
        images = splits[name]
        of = [group[sample] for sample in images.ids.tolist()]
        stays = np.array([one not in later for one in of], bool)
        later |= set(of)
        if not stays.all():
            kept[name] = images.take(stays)
            dropped[name] = images.ids[~stays].tolist()
            _must_be_left(name, images, kept[name])
    return kept, {name: dropped[name] for name in splits if name in dropped}


def _must_be_left(split: str, before: Images, after: Images) -> None:
    gone = [
        name for name, had, has in zip(before.class_names, before.counts, after.counts, strict=True) if had and not has
    ]
    if gone:
        raise DataError(
            f'data.near_copies = "drop" would leave no {split} images of class {listed(map(repr, gone), most=5)}: each '
            'has a copy in a later split. Set it to "group", which keeps copies on one side of the split, or to "warn".'
        )
