"""data.json: the images of a run, their source, hashes and splits, and what the checks found."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Literal

import numpy as np

from firstlight.records.codec import Must, kept_as, omitted, others
from firstlight.records.values import AtLeastOne, Count, Names, Positive, Shape, Table, one_a_class
from firstlight.types import SPLITS, Array

SplitName = Annotated[str, Must("train, validation or test", lambda name: name in SPLITS)]


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """A file that images were read from; `verified` unless its checksum is known and another."""

    name: str
    sha256: str = omitted("")
    verified: bool = True


@dataclass(frozen=True, kw_only=True)
class SplitRecord:
    """The images of one split.

    counts  of each class
    sha256  of all prepared images; "" of a run from before it was kept
    pixels  the fingerprints of the prepared images in base 64; None of a run from before they were kept
    groups  the group of each image; None where there are none
    """

    images: AtLeastOne
    counts: tuple[Count, ...]
    sha256: str = omitted("")
    pixels: str | None = omitted(None)
    ids: Names
    groups: tuple[str, ...] | None = omitted(None)

    def __post_init__(self) -> None:
        if self.groups is not None and len(self.groups) != self.images:
            raise ValueError(f"{self.images} images with {len(self.groups)} groups")
        if not self.images == len(self.ids) == sum(self.counts):
            raise ValueError(f"{self.images} images with {len(self.ids)} ids, and counts of {sum(self.counts)}")
        try:
            whole = not self.pixels or len(base64.b64decode(self.pixels, validate=True)) == 8 * self.images
        except binascii.Error:
            whole = False
        if not whole:
            raise ValueError(f"its pixels are not hashes of {self.images} images")

    @cached_property
    def fingerprints(self) -> Array:
        """Those of the prepared images, uint64; none of a run from before they were kept."""
        return np.frombuffer(base64.b64decode(self.pixels or ""), "<u8")

    @cached_property
    def sorted_fingerprints(self) -> Array:
        """The same in ascending order, to look others up in."""
        return np.sort(self.fingerprints)


@dataclass(frozen=True, kw_only=True)
class ClassesBefore:
    """The classes of the source and their images by split, before some were left out or put together."""

    class_names: Names
    counts: Mapping[str, tuple[Count, ...]]

    def __post_init__(self) -> None:
        for split, counts in self.counts.items():
            one_a_class(f"counts.{split}", counts, self.class_names)


@dataclass(frozen=True, kw_only=True)
class Copy:
    """One of several images that are the same, pixel for pixel."""

    split: str
    id: str
    class_name: str = kept_as("class")


@dataclass(frozen=True, kw_only=True)
class NearPair:
    """Two images that show the same picture, how alike they are (at most 1), and in which way the second is altered."""

    images: tuple[Copy, Copy]
    similarity: float
    alteration: str

    @property
    def conflict(self) -> bool:
        """They have different labels."""
        return self.images[0].class_name != self.images[1].class_name


@dataclass(frozen=True, kw_only=True)
class NearCopies:
    """What the search for near copies found.

    pairs        how many there are; `listed` are those with different labels, in different splits, and most alike
    within       images that are near copies of one before them, by split, and `between` by pair of splits: "train-test"
    conflicting  images that have a near copy with another label
    leaked       validation and test images that have a near copy in an earlier split
    """

    pairs: Count = 0
    within: Mapping[str, Count] = field(default_factory=dict)
    between: Mapping[str, Count] = kept_as("across", make=dict)
    conflicting: Count = kept_as("conflicting_labels", 0)
    leaked: Count = 0
    listed: tuple[NearPair, ...] = ()

    @property
    def across(self) -> dict[tuple[str, str], int]:
        """Images of the second of two splits that have a near copy in the first, by the pair."""
        return by_pair(self.between)


@dataclass(frozen=True, kw_only=True)
class Checks:
    """What the checks of the data found.

    within       images that are there more than once, by split, and `between` by pair of splits: "train-test"
    conflicting  images that are there with different labels
    missing      classes without images, by split
    near         near copies; None where they were not looked for
    """

    warnings: tuple[str, ...] = ()
    set_aside: Mapping[str, str] = field(default_factory=dict)
    within: Mapping[str, Count] = kept_as("duplicates_within", make=dict)
    between: Mapping[str, Count] = kept_as("duplicates_across", make=dict)
    conflicting: Count = kept_as("conflicting_labels", 0)
    nearly_black: Count = 0
    missing: Mapping[str, tuple[str, ...]] = kept_as("missing_classes", make=dict)
    copies: tuple[tuple[Copy, ...], ...] = ()
    near: NearCopies | None = omitted(None, key="near_copies")
    counts: Mapping[str, Mapping[str, Count]] = field(default_factory=dict)

    @property
    def across(self) -> dict[tuple[str, str], int]:
        """Images that are in both of two splits, by the pair."""
        return by_pair(self.between)


def by_pair(between: Mapping[str, int]) -> dict[tuple[str, str], int]:
    """Numbers of pairs of splits, such as "train-test", by the pair."""
    found = {}
    for pair, n in between.items():
        first, _, second = pair.partition("-")
        found[first, second] = n
    return found


@dataclass(frozen=True, kw_only=True)
class CorrectionRecord:
    """What was decided of one image, as in the table of corrections that a run was given.

    kind   what it did: gave another label, took the image out, or nothing, as the label was found right
    split  that the image is in, or that it was taken from; "" where it is in none, as by data.limit
    """

    id: str
    pixels: str
    old: str
    new: str
    kind: Literal["relabelled", "dropped", "kept"]
    split: SplitName | Literal[""] = omitted("")
    reason: str = omitted("")
    by: str = omitted("")
    at: str = omitted("")


@dataclass(frozen=True, kw_only=True)
class CorrectionsRecord:
    """The corrections that a run was given, all of them: so it is found again whatever becomes of their table.

    location, sha256  of the table
    counts            how many of each kind were applied, by split
    """

    location: str
    sha256: str
    counts: Mapping[SplitName, Mapping[str, Count]]
    rows: tuple[CorrectionRecord, ...]

    def changed(self, split: str) -> int:
        """How many images of a split have another label by them, or were taken out of it."""
        counts = self.counts.get(split, {})
        return counts.get("relabelled", 0) + counts.get("dropped", 0)


@dataclass(frozen=True, kw_only=True)
class GroupsRecord:
    """The groups that no split divides, such as patients, as they were counted in the splits.

    by        what tells them, in words
    groups    how many there are, and the images of the smallest, of the largest and of one at the median
    splits    groups in each split, and `divided` those in both of two, by the pair: "train-test"
    asked     the share of the images that each drawn split was to have
    classes   the share of the images of each class that it has
    """

    by: str
    groups: AtLeastOne
    smallest: AtLeastOne
    median: Positive
    largest: AtLeastOne
    splits: Mapping[SplitName, Count]
    divided: Mapping[str, Count] = field(default_factory=dict)
    asked: Mapping[SplitName, float] = field(default_factory=dict)
    classes: Mapping[SplitName, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ImagesRecord:
    """The images of a run.

    name, source   of the set; `location` is the folder or file of a user's own images, or ""
    shape          (H, W, C) of a prepared image
    files          that were read; not `verified` where a published checksum did not match
    set_aside      files that could not be read: path -> reason
    before         the classes before some were left out or put together
    corrections    of labels, where there were any (data.corrections)
    copies_dropped  the ids of images that were left out, as a later split has a copy (data.near_copies), by split
    class_weights  by which the loss of an image of each class was multiplied, where there are any
    drawn          images of each class in an epoch, where sampling was balanced
    groups         the groups that no split divides, where there are any
    doubtful_groups  in sentences: that these allow no even split, or that images look as if they were of groups
    """

    name: str
    source: str
    licence: str | None = ""
    homepage: str | None = ""
    location: str = ""
    shape: Shape | None = omitted(None)
    class_names: Names
    files: tuple[FileRecord, ...] = ()
    verified: bool = True
    set_aside: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    splits: Mapping[SplitName, SplitRecord]
    before: ClassesBefore | None = omitted(None)
    corrections: CorrectionsRecord | None = omitted(None)
    copies_dropped: Mapping[SplitName, tuple[str, ...]] = omitted(make=dict)
    class_weights: tuple[Positive, ...] | None = omitted(None)
    drawn: tuple[Count, ...] | None = omitted(None)
    groups: GroupsRecord | None = omitted(None)
    doubtful_groups: tuple[str, ...] = omitted(())
    how_split: str = ""
    checks: Checks = Checks()
    warnings: tuple[str, ...] = ()
    others: Table = others()

    def __post_init__(self) -> None:
        if "train" not in self.splits:
            raise ValueError("splits has no train")
        for split, record in self.splits.items():
            one_a_class(f"splits.{split}.counts", record.counts, self.class_names)
        one_a_class("class_weights", self.class_weights, self.class_names)
        one_a_class("drawn", self.drawn, self.class_names)
