"""Corrections of labels: a table beside the experiment that says what was decided of which image.

The user's images and labels stay as they are. Each row names an image, with a hash of its pixels, so that what was
decided of one image is never applied to another.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import numpy as np

from firstlight.data.names import one_form
from firstlight.data.table import csv_cells, csv_text, said_separator
from firstlight.errors import DataError, brief, nearest
from firstlight.files import write_text
from firstlight.text import listed
from firstlight.types import Array, Dataset, Images, is_text

NEEDED = ("id", "pixels", "old", "new")
_NAMED = 3  # images that a message names; the others are counted
_HASH = 64  # hexadecimal digits of a SHA-256


class Kind(StrEnum):
    """What a correction does: gives another label, takes the image out, or says that its label was found right."""

    RELABELLED = "relabelled"
    DROPPED = "dropped"
    KEPT = "kept"


@dataclass(frozen=True)
class Correction:
    """What was decided of one image.

    id      of the image in its set
    pixels  `pixels_sha256` of the image as it was loaded
    old     the class that it bears in the user's own labels
    new     the class that it is given; the same as `old` where it was looked at and kept, "" to drop the image
    reason  why, for people
    by, at  who decided, and when (ISO 8601, UTC)
    """

    id: str
    pixels: str
    old: str
    new: str
    reason: str = ""
    by: str = ""
    at: str = ""

    @property
    def kind(self) -> Kind:
        if not self.new:
            return Kind.DROPPED
        return Kind.KEPT if one_form(self.new) == one_form(self.old) else Kind.RELABELLED


COLUMNS = tuple(field.name for field in fields(Correction))


def pixels_sha256(image: Array) -> str:
    """The SHA-256 of an image's shape and pixels, uint8 (H, W, C), in hexadecimal."""
    digest = hashlib.sha256("x".join(map(str, image.shape)).encode() + b"\n")
    digest.update(np.ascontiguousarray(image, np.uint8).data)
    return digest.hexdigest()


def read_corrections(path: Path) -> tuple[Correction, ...]:
    """The corrections in a CSV, in its order.

    The first line names the columns id, pixels, old and new and, if wanted, reason, by and at, in any order. Cells are
    separated by commas, semicolons or tabs, as spreadsheets write them, in UTF-8 or UTF-16.

    Raises DataError, with the line and the column, for a missing, unknown or repeated column, another number of cells,
    an empty id or old label, a hash or a time that is none, or an id that is there twice.
    """
    text = csv_text(path)
    first, _, rest = text.partition("\n")
    separator, skipped = said_separator(first), 0
    if separator:
        text, skipped = rest, 1
    names, separator = _head(path, text, separator or ",;\t")
    found: dict[str, Correction] = {}
    lines: dict[str, int] = {}
    for line, row in list(csv_cells(path, text, separator, skipped))[1:]:
        if any(row[len(names) :]):
            raise DataError(
                f"{path}, line {line}: {len(row)} cells for {len(names)} columns. A cell that holds {separator!r} must "
                f"stand in quotation marks; received {brief(separator.join(row))!r}."
            )
        one = _correction(path, line, dict(zip(names, row, strict=False)))
        if one.id in found:
            raise DataError(
                f"{path}, line {line}, column id: {brief(one.id)!r} is there already, in line {lines[one.id]}. An "
                "image has one correction: remove one of the two lines."
            )
        found[one.id], lines[one.id] = one, line
    return tuple(found.values())


def _head(path: Path, text: str, separators: str) -> tuple[list[str], str]:
    """The names of the columns, and what separates them."""
    heads = {separator: next(csv_cells(path, text, separator), (0, []))[1] for separator in separators}
    named = {separator: [name.strip().casefold() for name in head] for separator, head in heads.items()}
    separator = max(named, key=lambda each: len({*named[each]} & {*COLUMNS}))  # the first of equal ones: a comma
    names = named[separator]
    while names and not names[-1]:  # spreadsheets leave empty columns behind
        names.pop()
    if missing := [name for name in NEEDED if name not in names]:
        received = ", ".join(names)
        raise DataError(
            f"{path}, line 1: the first line must name the columns {listed(NEEDED)} (and optionally reason, by and "
            f"at); it lacks {listed(missing)}. Received {brief(received) or 'nothing'}."
        )
    for name in names:
        if name not in COLUMNS:
            raise DataError(
                f"{path}, line 1: there is no column {brief(name)!r} in a table of corrections. "
                f"{nearest(name, COLUMNS)} Your own remarks go into reason."
            )
        if names.count(name) > 1:
            raise DataError(f"{path}, line 1: two columns have the same name, {name}. Remove one.")
    return names, separator


def _correction(path: Path, line: int, cells: Mapping[str, str]) -> Correction:
    one = Correction(**{name: cells.get(name, "") for name in COLUMNS})
    one = replace(one, pixels=one.pixels.strip().lower(), at=one.at.strip())
    try:
        _must_be_sound(one)
    except _UnsoundError as error:
        raise DataError(f"{path}, line {line}, column {error}") from None
    return one


class _UnsoundError(ValueError):
    """What is wrong with a correction, after the name of its column."""


def _must_be_sound(one: Correction) -> None:
    for name in COLUMNS:
        value = getattr(one, name)
        if not is_text(value) or "\0" in value:
            raise _UnsoundError(f"{name}: {brief(value)!r} is not valid Unicode.")
    for name in ("id", "old"):
        if not getattr(one, name).strip():
            what = "the id of the image" if name == "id" else "the class of the image in your labels"
            raise _UnsoundError(f"{name}: it is empty. It names {what}.")
    if len(one.pixels) != _HASH or not set(one.pixels) <= set("0123456789abcdef"):
        raise _UnsoundError(
            f"pixels: it is not a SHA-256, which has {_HASH} hexadecimal digits; received {brief(one.pixels, 80)!r}."
        )
    if one.at:
        try:
            datetime.fromisoformat(one.at)
        except ValueError:
            raise _UnsoundError(
                f"at: it is not a time in ISO 8601, such as 2026-11-29T17:10:00Z; received {brief(one.at, 80)!r}."
            ) from None


def write_corrections(path: Path, rows: Iterable[Correction]) -> None:
    """Put corrections at `path`, whole or not at all, in the order of their ids.

    Raises DataError for a correction that `read_corrections` would refuse, OSError where it cannot be written.
    """
    ordered = sorted(rows, key=lambda one: one.id)
    for one in ordered:
        try:
            _must_be_sound(one)
        except _UnsoundError as error:
            raise DataError(f"{path}: the correction of {brief(one.id)!r} cannot be written. Its {error}") from None
    _must_be_once(ordered, str(path))
    write_text(path, "".join(_line(cells) for cells in [COLUMNS, *map(astuple, ordered)]))


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)  # with which a cell that holds either is quoted
    return text.getvalue().removesuffix("\r\n") + "\n"


def _must_be_once(corrections: Sequence[Correction], where: str) -> None:
    twice = [sample for sample, count in Counter(one.id for one in corrections).items() if count > 1]
    if twice:
        raise DataError(f"{where}: {_named(twice)} has more than one correction. Keep one of them.")


def _named(ids: Sequence[str]) -> str:
    """The ids for a message."""
    return listed((repr(brief(sample, 80)) for sample in ids), most=_NAMED)


@dataclass(frozen=True, eq=False)
class Applied:
    """Images by split as corrections make them.

    places  the split that each correction's image was in, by id; an image that is in no split has none
    """

    splits: Mapping[str, Images]
    places: Mapping[str, str]

    def split_of(self, correction: Correction) -> str:
        """The split that its image was in, or ""."""
        return self.places.get(correction.id, "")

    def counts(self, corrections: Iterable[Correction]) -> dict[str, dict[Kind, int]]:
        """How many corrections of each kind were applied to each split."""
        found = {split: dict.fromkeys(Kind, 0) for split in dict.fromkeys(self.places.values())}
        for one in corrections:
            if one.id in self.places:
                found[self.places[one.id]][one.kind] += 1
        return found


def must_fit(dataset: Dataset, corrections: Sequence[Correction], where: str = "corrections") -> None:
    """Raise DataError where a correction is not of these images as they are, with what to do.

    where  what messages call the corrections: their file
    """
    _must_be_once(corrections, where)
    places = {sample: (images, i) for images in dataset.splits.values() for i, sample in enumerate(images.ids.tolist())}
    class_names = set(dataset.class_names)
    gone = [one.id for one in corrections if one.id not in places]
    if gone:
        raise DataError(
            f"{where}: there {'is no image' if len(gone) == 1 else f'are no {len(gone):,} images'} {_named(gone)} in "
            f"{dataset.name}: moved, renamed or removed since. Put {_them(gone)} back, or remove {_their_lines(gone)}."
        )
    changed = []
    for one in corrections:
        images, i = places[one.id]
        if pixels_sha256(images.pixels[i]) != one.pixels:
            changed.append(one.id)
    if changed:
        height, width, _ = dataset.shape
        raise DataError(
            f"{where}: {len(changed):,} of {len(corrections):,} images are not those that were reviewed, "
            f"{_named(changed)}: their pixels have changed, or data.size was different ({height}×{width}). Look at "
            f"{_them(changed)} again, or remove {_their_lines(changed)}."
        )
    for one in corrections:
        images, i = places[one.id]
        label, new = images.class_names[images.labels[i]], one_form(one.new)
        if new and new not in class_names:
            raise DataError(
                f"{where}: the new label of {brief(one.id)!r} is {brief(one.new)!r}, which is none of the classes of "
                f"{dataset.name}. {nearest(new, dataset.class_names)}"
            )
        if label != one_form(one.old):
            done = " It has the new label already: remove its line." if label == new else ""
            raise DataError(
                f"{where}: {brief(one.id)!r} is labelled {brief(label)!r} now, and was {brief(one.old)!r} when it was "
                f"reviewed.{done or ' Look at it again, or remove its line.'}"
            )


def _them(ids: Sequence[str]) -> str:
    return "it" if len(ids) == 1 else "them"


def _their_lines(ids: Sequence[str]) -> str:
    return "its line" if len(ids) == 1 else "their lines"


def applied(splits: Mapping[str, Images], corrections: Iterable[Correction], where: str = "corrections") -> Applied:
    """The images by split with corrections that fit them (`must_fit`); one of an image in no split does nothing.

    Splits are drawn before this, by the user's own labels: so a correction moves no image from one split to another,
    and runs before and after it are measured on the same test images.

    Raises DataError where no image of a split is left.
    """
    by_id = {one.id: one for one in corrections}
    found, places = {}, {}
    for split, images in splits.items():
        number = {name: k for k, name in enumerate(images.class_names)}
        labels, kept = images.labels.copy(), np.ones(len(images), bool)
        for i, sample in enumerate(images.ids.tolist() if by_id else ()):
            one = by_id.get(sample)
            if one is not None:
                places[sample] = split
                kept[i] = bool(one.new)
                labels[i] = number[one_form(one.new)] if one.new else labels[i]
        if not kept.any():
            raise DataError(f"{where}: all {len(images):,} {split} images are dropped. Keep some of them.")
        changed = replace(images, labels=labels)
        found[split] = changed if kept.all() else changed.take(kept)
    return Applied(found, places)


def apply(dataset: Dataset, corrections: Sequence[Correction], where: str = "corrections") -> Dataset:
    """A set as corrections make it. Raises DataError where one does not fit (`must_fit`)."""
    must_fit(dataset, corrections, where)
    return replace(dataset, splits=applied(dataset.splits, corrections, where).splits)
