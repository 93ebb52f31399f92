"""What is wrong with some images: unreadable files, duplicates, leaks between splits, odd labels, no images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations

import numpy as np

from firstlight.cautions import Caution
from firstlight.data.copy_groups import NearCopies
from firstlight.data.groups import GroupCounts
from firstlight.data.names import look_alikes, without_label
from firstlight.data.near_audit import NearFindings, check_near
from firstlight.pixels import blocks
from firstlight.text import listed
from firstlight.types import SPLITS, Array, Dataset, Images, Json

_NAMED = 5  # classes that a warning names; the others are counted
_BLACK = 16  # of 255: an image that shows something, and whose pixels are all below, is hardly to be seen
_DARK = (
    f"with no pixel above {_BLACK} of 255: are its numbers of 12 bits in a file of 16, or of 0 to 1 in bytes? "
    "Scale them to 0 to 255 first."
)


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
    dark       images that show something, but nearly in black
    groups     how many groups there are, and whether one is in two splits; None where images have none
    near       the near copies; None where they were not looked for
    """

    counts: Mapping[str, Mapping[str, int]]
    copies: tuple[Copies, ...]
    set_aside: Mapping[str, str]
    dark: int = 0
    groups: GroupCounts | None = None
    near: NearFindings | None = None

    @property
    def leaks(self) -> tuple[Copies, ...]:
        """The copies that lie in more than one split: a model is measured on images that it was chosen by."""
        return tuple(copies for copies in self.copies if copies.leak)

    @property
    def conflicts(self) -> tuple[Copies, ...]:
        """The copies that have different labels."""
        return tuple(copies for copies in self.copies if copies.conflict)

    @property
    def conflicting(self) -> int:
        """Images that have a copy with another label."""
        return sum(len(copies.samples) for copies in self.conflicts)

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

    @property
    def missing(self) -> dict[str, tuple[str, ...]]:
        """By split, the classes without images there: of train any, of another split those that train has."""
        train = self.counts.get("train", {})
        return {
            split: tuple(name for name, n in counts.items() if not n and (split == "train" or train.get(name)))
            for split, counts in self.counts.items()
        }

    def warnings(self) -> list[str]:
        """A sentence for each kind of problem, with its count; empty where the images are clean."""
        of_groups = [] if self.groups is None else self.groups.warnings()
        sentences = (
            (
                Caution.UNREADABLE_FILES,
                len(self.set_aside),
                "file could not be read and is set aside.",
                "files could not be read and are set aside.",
            ),
            (
                Caution.COPIES_ACROSS_SPLITS,
                self.leaked,
                "validation or test image also occurs in an earlier split: the leak inflates the accuracy.",
                "validation or test images also occur in an earlier split: the leak inflates the accuracy.",
            ),
            (
                Caution.COPIES_WITHIN_SPLIT,
                sum(self.within.values()),
                "image repeats another image of its split exactly.",
                "images repeat another image of their split exactly.",
            ),
            (
                Caution.COPIES_WITH_OTHER_LABELS,
                self.conflicting,
                "image has an exact copy with another label.",
                "images have an exact copy with another label.",
            ),
            *(self.near.sentences() if self.near is not None else ()),
            (
                Caution.DARK_IMAGES,
                self.dark,
                f"image is nearly black, {_DARK}",
                f"images are nearly black, {_DARK}",
            ),
        )
        told = [kind.text(f"{n:,} {one if n == 1 else more}") for kind, n, one, more in sentences if n]
        return told + of_groups + self._of_classes()

    def _of_classes(self) -> list[str]:
        """What is odd about the classes: nearly one name, no name, no images in a split, or a single class."""
        texts = []
        classes = list(next(iter(self.counts.values()), {}))
        if alike := look_alikes(classes):
            groups = listed((listed(map(repr, group)) for group in alike), most=_NAMED, separator="; ")
            texts.append(
                Caution.ALIKE_CLASSES.text(
                    f"{len(alike):,} {'group' if len(alike) == 1 else 'groups'} of classes with nearly the same name: "
                    f"{groups}. They count as different classes; if they are the same, give them one name."
                )
            )
        if nameless := without_label(classes):
            n = sum(counts[name] for counts in self.counts.values() for name in nameless)
            texts.append(
                Caution.MISSING_LABELS.text(
                    f"{n:,} {'image is' if n == 1 else 'images are'} of class "
                    f"{listed(map(repr, nameless), most=_NAMED)}, which in tables usually marks a missing label: leave "
                    "them out, or rename the class."
                )
            )
        for split, names in self.missing.items():
            if names:
                harm = "cannot be learned" if split == "train" else "cannot be measured there"
                what = "class has" if len(names) == 1 else "classes have"
                texts.append(
                    Caution.EMPTY_CLASSES.text(
                        f"{len(names):,} {what} no images in {split} and {harm}: {listed(names, most=_NAMED)}."
                    )
                )
        if len(classes) == 1:
            texts.append(
                Caution.SINGLE_CLASS.text(f"All images are of a single class, {classes[0]}: a classifier needs two.")
            )
        return texts

    def to_json(self) -> Json:
        """Plain values, with every group of copies written out."""
        return {
            "warnings": self.warnings(),
            "set_aside": dict(self.set_aside),
            "duplicates_within": self.within,
            "duplicates_across": {f"{first}-{second}": count for (first, second), count in self.across.items()},
            "conflicting_labels": self.conflicting,
            "nearly_black": self.dark,
            "missing_classes": {split: list(names) for split, names in self.missing.items() if names},
            "copies": [
                [{"split": split, "id": sample, "class": class_name} for split, sample, class_name in copies.samples]
                for copies in self.copies
            ],
            "counts": {split: dict(counts) for split, counts in self.counts.items()},
            **({} if self.groups is None else {"groups": self.groups.to_json()}),
            **({} if self.near is None else {"near_copies": self.near.to_json()}),
        }


def check(
    data: Dataset | Mapping[str, Images], set_aside: Mapping[str, str] | None = None, near: NearCopies | None = None
) -> Findings:
    """Look for exact duplicates, leaks between splits, conflicting labels, and classes without images in a split.

    Takes a Dataset as it was read, or Images by split (those that a run really uses) with the files set aside. Two
    images are the same where a 128-bit hash of their shape and pixels is; only of those with a fingerprint that occurs
    more than once it is looked at. About 0.1 s for 70,000 images of 28×28.

    near  the near copies of the set, where they were looked for (`NearCopies.of`); those among these images are told
    """
    if isinstance(data, Dataset):
        return check(data.splits, data.set_aside, near)
    places: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
    dark = 0
    several = _several([images.fingerprints for images in data.values()])
    for (split, images), suspects in zip(data.items(), several, strict=True):
        head = repr(images.shape).encode()
        for start, block in blocks(images.pixels):
            for i in np.flatnonzero(suspects[start : start + len(block)]).tolist():
                digest = blake2b(block[i], digest_size=16, key=head).digest()
                places[digest].append((split, start + i))
            darkest, brightest = block.min(axis=(1, 2, 3)), block.max(axis=(1, 2, 3))
            dark += int(((darkest < brightest) & (brightest <= _BLACK)).sum())
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
    found = None if near is None else check_near(data, near)
    return Findings(counts, copies, dict(set_aside or {}), dark, GroupCounts.of(data), found)


def _several(parts: Sequence[Array]) -> list[Array]:
    """Of each part, which of its values occur more than once in all of them: boolean."""
    if not parts:
        return []
    _, same, counts = np.unique(np.concatenate(parts), return_inverse=True, return_counts=True)
    return np.split(counts[same] > 1, np.cumsum([len(part) for part in parts])[:-1])
