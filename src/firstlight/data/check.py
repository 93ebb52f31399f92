"""What is wrong with some images: files set aside, duplicates, leaks between splits, conflicting labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations

import numpy as np

from firstlight.types import SPLITS, Dataset, Images, Json


@dataclass(frozen=True)
class Copies:
    """Samples with exactly the same pixels: (split, id, class name) of each."""

    samples: tuple[tuple[str, str, str], ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that hold a copy, in the order train, validation, test."""
        held = {split for split, _, _ in self.samples}
        return tuple(split for split in SPLITS if split in held)

    def count(self, split: str) -> int:
        """How many of the copies lie in `split`."""
        return sum(held == split for held, _, _ in self.samples)

    @property
    def leak(self) -> bool:
        """More than one split holds a copy."""
        return len(self.splits) > 1

    @property
    def conflict(self) -> bool:
        """The copies have different labels."""
        return len({class_name for _, _, class_name in self.samples}) > 1


@dataclass(frozen=True)
class Findings:
    """What `check` found.

    counts     images by split and class name
    copies     each group of samples with the same pixels
    set_aside  files that could not be read: id -> reason
    """

    counts: Mapping[str, Mapping[str, int]]
    copies: tuple[Copies, ...]
    set_aside: Mapping[str, str]

    @property
    def leaks(self) -> tuple[Copies, ...]:
        """The copies that lie in more than one split: a model is measured on images that it was chosen by."""
        return tuple(copies for copies in self.copies if copies.leak)

    @property
    def conflicts(self) -> tuple[Copies, ...]:
        """The copies that have different labels."""
        return tuple(copies for copies in self.copies if copies.conflict)

    @property
    def leaked(self) -> int:
        """Validation and test images that an earlier split (of train, validation, test) holds as well."""
        return sum(split != copies.splits[0] for copies in self.leaks for split, _, _ in copies.samples)

    @property
    def within(self) -> dict[str, int]:
        """For each split the images that repeat another of the same split."""
        repeated = dict.fromkeys(self.counts, 0)
        for copies in self.copies:
            for split in copies.splits:
                repeated[split] += copies.count(split) - 1
        return repeated

    @property
    def across(self) -> dict[tuple[str, str], int]:
        """For each pair of splits, such as ("train", "test"), the images of the second that the first holds as well."""
        shared = dict.fromkeys(combinations((split for split in SPLITS if split in self.counts), 2), 0)
        for copies in self.leaks:
            for pair in combinations(copies.splits, 2):
                shared[pair] += copies.count(pair[1])
        return shared

    def warnings(self) -> list[str]:
        """A sentence for each kind of problem, with its count; empty where the images are clean."""
        sentences = (
            (len(self.set_aside), "file(s) could not be read and are set aside."),
            (self.leaked, "validation or test image(s) also occur in an earlier split: the leak flatters the model."),
            (sum(self.within.values()), "image(s) repeat another image of their split exactly."),
            (len(self.conflicts), "image(s) occur with different labels."),
        )
        return [f"{count:,} {sentence}" for count, sentence in sentences if count]

    def to_json(self) -> Json:
        """Plain values, with every group of copies written out."""
        return {
            "warnings": self.warnings(),
            "set_aside": dict(self.set_aside),
            "duplicates_within": self.within,
            "duplicates_across": {f"{first}-{second}": count for (first, second), count in self.across.items()},
            "conflicting_labels": len(self.conflicts),
            "copies": [
                [{"split": split, "id": sample, "class": class_name} for split, sample, class_name in copies.samples]
                for copies in self.copies
            ],
            "counts": {split: dict(counts) for split, counts in self.counts.items()},
        }


def check(data: Dataset | Mapping[str, Images], set_aside: Mapping[str, str] | None = None) -> Findings:
    """Look for exact duplicates, leaks between splits and conflicting labels, and count the classes.

    Takes a Dataset as it was read, or Images by split (those that a run really uses) with the files set aside. Two
    images are the same where a 128-bit hash of their shape and pixels is. About 0.3 s for 70,000 images of 28×28.
    """
    if isinstance(data, Dataset):
        return check(data.splits, data.set_aside)
    places: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
    for split, images in data.items():
        head = repr(images.shape).encode()
        for i, row in enumerate(np.ascontiguousarray(images.pixels)):
            places[blake2b(row, digest_size=16, key=head).digest()].append((split, i))
    copies = tuple(
        Copies(
            tuple(
                (split, str(data[split].ids[i]), data[split].class_names[data[split].labels[i]]) for split, i in group
            )
        )
        for group in places.values()
        if len(group) > 1
    )
    counts = {
        split: {name: int(count) for name, count in zip(images.class_names, images.counts, strict=True)}
        for split, images in data.items()
    }
    return Findings(counts, copies, dict(set_aside or {}))
