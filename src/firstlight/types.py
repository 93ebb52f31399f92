"""The records that travel between the parts: small, frozen, NumPy arrays and plain values.

Shapes are written in the order of the array's axes: N images, H rows, W columns, C channels, K classes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firstlight.errors import DataError
from firstlight.notebook_display import Brief, Shown
from firstlight.pixels import blocks, concatenated, is_mapped, taken

Array = NDArray[Any]
Shape = tuple[int, ...]
Json = dict[str, Any]

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False, repr=False)
class Images(Shown, Brief):
    """Images of one size with their labels.

    pixels       uint8 (N, H, W, C), C is 1 (grey) or 3 (red, green, blue). Of a set that is larger than the memory for
                 it, `MappedPixels`: they are indexed as an array is, and gone over by `firstlight.pixels.blocks`
    labels       int64 (N,), an index into `class_names`
    ids          str (N,), stable and unique names of the samples, such as "train/00042" or "cats/tom.png"
    class_names  the K classes, at least one, each with a name of its own
    groups       str (N,), what each image is one of, such as a patient or a video, which no split may divide; None
                 where none were asked for

    Raises DataError when the arrays do not belong together.
    """

    pixels: Array
    labels: Array
    ids: Array
    class_names: tuple[str, ...]
    groups: Array | None = None

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 4:
            raise DataError(
                f"Images need uint8 pixels of shape (N, H, W, C); received {self.pixels.dtype} {self.pixels.shape}."
            )
        if self.pixels.shape[3] not in (1, 3):
            raise DataError(f"Images have 1 or 3 channels; received {self.pixels.shape[3]}.")
        if not self.class_names:
            raise DataError("Images need at least one class; received no class names.")
        if len(set(self.class_names)) < len(self.class_names):
            twice = next(name for name in self.class_names if self.class_names.count(name) > 1)
            raise DataError(f"Classes need names of their own; received {twice!r} more than once.")
        if not is_text("".join(self.class_names)):
            odd = next(name for name in self.class_names if not is_text(name))
            raise DataError(f"The class name {odd!r} is not valid Unicode: it holds half of a pair of surrogates.")
        n = len(self.pixels)
        if self.labels.shape != (n,) or self.ids.shape != (n,):
            raise DataError(
                f"{n} images need {n} labels and {n} ids; received {self.labels.shape} and {self.ids.shape}."
            )
        if n and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.class_names):
            raise DataError(
                f"Labels must lie in 0..{len(self.class_names) - 1}; "
                f"received {int(self.labels.min())}..{int(self.labels.max())}."
            )
        if self.groups is not None and (self.groups.shape != (n,) or self.groups.dtype.kind != "U"):
            raise DataError(
                f"{n} images need the names of {n} groups; received {self.groups.dtype} {self.groups.shape}."
            )
        for name in ("pixels", "labels", "ids", "groups"):
            if isinstance(array := getattr(self, name), np.ndarray):
                view = array.view()  # the caller's own array stays writable
                view.flags.writeable = False
                object.__setattr__(self, name, view)

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> Shape:
        """The shape (H, W, C) of one image."""
        return tuple(self.pixels.shape[1:])

    @property
    def counts(self) -> Array:
        """Images per class, int64 (K,)."""
        return np.bincount(self.labels, minlength=len(self.class_names))

    @property
    def digest(self) -> str:
        """A SHA-256 of ids, labels and pixels: equal for the same images in the same order."""
        digest = hashlib.sha256("\n".join(self.ids.tolist()).encode())
        digest.update(np.ascontiguousarray(self.labels).data)
        for _, block in blocks(self.pixels):
            digest.update(block.data)
        return digest.hexdigest()

    @cached_property
    def fingerprints(self) -> Array:
        """A 64-bit hash of each image's shape and pixels, uint64 (N,): equal for images that are the same.

        It is worked out once, at 1 µs for 784 bytes: who changes a caller's own array afterwards makes `Images` anew.
        """
        begun = hashlib.blake2b(digest_size=8, key=repr(self.shape).encode())
        found = []
        for _, block in blocks(self.pixels):
            for row in block:
                made = begun.copy()
                made.update(row)
                found.append(made.digest())
        return np.frombuffer(b"".join(found), "<u8")

    @property
    def held(self) -> Images:
        """The same with pixels in memory: where they are mapped, they are read now."""
        if not is_mapped(self.pixels):
            return self
        return Images(self.pixels[:], self.labels, self.ids, self.class_names, self.groups)

    def take(self, index: Array) -> Images:
        """The images at `index`, an integer or boolean array, in that order; of mapped ones no pixel is read."""
        groups = None if self.groups is None else self.groups[index]
        return Images(taken(self.pixels, index), self.labels[index], self.ids[index], self.class_names, groups)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class MixedImages(Images):
    """Images some of which are mixed, each labelled by the class that has the largest share of it.

    targets  float64 (N, K): the share of each class; rows sum to one
    """

    targets: Array

    @classmethod
    def of(cls, images: Images, targets: Array) -> MixedImages:
        """Images and their shares of classes; of several largest shares an image's own class counts."""
        rows = np.arange(len(images))
        own = targets[rows, images.labels] >= targets.max(axis=1, initial=0)
        labels = np.where(own, images.labels, targets.argmax(axis=1))
        parts = (images.pixels, labels, images.ids, images.class_names, images.groups)
        return cls(*parts, targets=targets)

    def take(self, index: Array) -> MixedImages:
        taken = Images.take(self, index)
        parts = (taken.pixels, taken.labels, taken.ids, taken.class_names, taken.groups)
        return MixedImages(*parts, targets=self.targets[index])


def joined(parts: Sequence[Images]) -> Images:
    """The images of several parts in one, in that order; the parts have the same classes, and all have groups or none.

    Raises DataError where only some have groups.
    """
    grouped = [part.groups for part in parts if part.groups is not None]
    if grouped and len(grouped) < len(parts):
        raise DataError(f"Images are joined where all have groups, or none; {len(grouped)} of {len(parts)} parts have.")
    pixels = concatenated([part.pixels for part in parts])
    labels, ids = (np.concatenate([getattr(part, name) for part in parts]) for name in ("labels", "ids"))
    whole = Images(pixels, labels, ids, parts[0].class_names, np.concatenate(grouped) if grouped else None)
    targets = [part.targets for part in parts if isinstance(part, MixedImages)]
    return MixedImages.of(whole, np.concatenate(targets)) if targets else whole


def is_text(text: str) -> bool:
    """Whether a text can be written; half of a surrogate pair, as a name that is not UTF-8 has it, cannot."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def unlabelled(pixels: Array, class_names: Sequence[str] = ("any",), ids: Array | None = None) -> Images:
    """Images from pixels uint8 (N, H, W, C) whose classes are not known: all are said to be of the first."""
    n = len(pixels)
    names = np.arange(n).astype(str) if ids is None else ids
    return Images(pixels, np.zeros(n, np.int64), names, tuple(class_names))


@dataclass(frozen=True)
class SourceFile:
    """One file that images were read from."""

    name: str
    sha256: str
    verified: bool


@dataclass(frozen=True, eq=False, repr=False)
class Dataset(Shown, Brief):
    """Images as their publisher or owner arranged them, before any split by seed.

    name       what reports call it
    splits     Images by name: always "train"; "validation" and "test" where the source has them
    files      the files read, with hashes; `verified` where a checksum known to firstlight matched
    set_aside  files that could not be read: path -> reason
    licence    of the images, and `homepage` of their publisher, where they are known
    origin     the name or path that `load` was given, from which the images can be loaded again
    notes      what the user should know of how the images were read
    group      the `data.group` by which images were grouped, and `grouped_by`, what it is in words; "" where there is
               none
    label      the `data.label` that tells the classes; "" where none had to be said

    Raises DataError when the splits do not belong together.
    """

    name: str
    splits: Mapping[str, Images]
    files: Sequence[SourceFile] = ()
    set_aside: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    homepage: str = ""
    origin: str = ""
    notes: Sequence[str] = ()
    group: str = ""
    grouped_by: str = ""
    label: str = ""

    def __post_init__(self) -> None:
        unknown = [name for name in self.splits if name not in SPLITS]
        if unknown or "train" not in self.splits:
            raise DataError(
                f"{self.name}: the splits are train and, if wanted, validation and test; "
                f"received {', '.join(map(str, self.splits)) or 'none'}."
            )
        train = self.splits["train"]
        for name, images in self.splits.items():
            if not len(images):
                raise DataError(f"{self.name}: the {name} split has no images.")
            if images.class_names != train.class_names:
                raise DataError(
                    f"{self.name}: the splits differ in their classes: train has {', '.join(train.class_names)}; "
                    f"{name} has {', '.join(images.class_names)}."
                )
            if images.shape != train.shape:
                raise DataError(
                    f"{self.name}: the splits differ in the shape of an image: train {train.shape}, "
                    f"{name} {images.shape}."
                )

        ids = [sample for images in self.splits.values() for sample in images.ids.tolist()]
        if not is_text("".join(ids)):
            odd = next(sample for sample in ids if not is_text(sample))
            raise DataError(f"{self.name}: the id {odd!r} is not valid Unicode.")
        if len(set(ids)) < len(ids):
            twice = next(sample for sample, count in Counter(ids).items() if count > 1)
            raise DataError(f"{self.name}: the id {twice!r} names more than one sample; ids must be unique.")

    @property
    def class_names(self) -> tuple[str, ...]:
        """By the number of the class."""
        return self.splits["train"].class_names

    @property
    def shape(self) -> Shape:
        """The shape (H, W, C) of one image."""
        return self.splits["train"].shape

    @property
    def verified(self) -> bool:
        """False where a named source's file did not match its published checksum."""
        return all(file.verified for file in self.files)


@dataclass(frozen=True, eq=False, repr=False)
class Predictions(Brief):
    """What a model said of some images; the arrays always travel together.

    ids            str (N,)
    labels         int64 (N,), the true classes
    probabilities  float32 (N, K), rows sum to one
    strangeness    float32 (N,), the distance from the classes by the one that is still usual: above 1, an image is of
                   none of them. None where it is not known
    """

    ids: Array
    labels: Array
    probabilities: Array
    strangeness: Array | None = None

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.labels.shape != (n,) or self.probabilities.ndim != 2 or len(self.probabilities) != n:
            raise DataError(
                f"Predictions for {n} ids need {n} labels and {n} rows of probabilities; "
                f"received {self.labels.shape} and {self.probabilities.shape}."
            )
        if self.strangeness is not None and self.strangeness.shape != (n,):
            raise DataError(f"The strangeness of {n} images is {n} numbers; received {self.strangeness.shape}.")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def predicted(self) -> Array:
        """The most probable class of each image, int64 (N,)."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidence(self) -> Array:
        """The probability of the predicted class, float32 (N,)."""
        return self.probabilities.max(axis=1)

    @property
    def none_of_these(self) -> Array | None:
        """Boolean (N,): which images are of none of the classes; None where it is not known."""
        return None if self.strangeness is None else self.strangeness > 1

    @property
    def correct(self) -> Array:
        """Boolean (N,): predicted class equals label."""
        return self.predicted == self.labels
