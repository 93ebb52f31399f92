"""A user's own images in an .npz file of NumPy arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from firstlight.data.decode import Size, resize
from firstlight.data.formats import numbered
from firstlight.data.own import SPLIT_NAMES, natural_order
from firstlight.errors import DataError
from firstlight.files import sha256
from firstlight.types import Array, Dataset, Images, SourceFile

# The names in use: our own, MedMNIST's and Keras's. "{}" is a split.
_NAMES = (("images", "labels"), ("x", "y"))
_SPLIT_NAMES = (("{}_images", "{}_labels"), ("x_{}", "y_{}"))


def load_arrays(path: Path, size: Size | None) -> Dataset:
    """Read an .npz file: `images` and `labels` (or `x`, `y`), or `train_images`, `train_labels`, `test_images`, ...

    Images are uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3). Labels are integers or strings, (N,) or (N, 1). With
    `class_names`, labels are indices into it; without, the distinct training labels are the classes. Ids are the
    places in the arrays. Nothing is ever unpickled.

    Raises DataError for a damaged file, missing arrays, other types or shapes, labels that train lacks, or class names
    that occur twice.
    """
    arrays = _read(path)
    pairs = _pairs(path, arrays)
    classes = _classes(path, arrays, pairs["train"][1])
    splits = {}
    for split, (images, values) in pairs.items():
        pixels = _pixels(path, split, images, len(values))
        extra = natural_order(map(str, set(values.tolist()) - set(classes)))
        if extra:
            raise DataError(f"{path}: {split} has labels that are no class: {', '.join(extra[:10])}.")
        labels = np.array([classes[value][0] for value in values.tolist()], np.int64)
        class_names = tuple(name for _, name in classes.values())
        splits[split] = Images(pixels, labels, numbered(split, len(pixels)), class_names)
    if size is not None:
        splits = {name: replace(images, pixels=resize(images.pixels, size)) for name, images in splits.items()}
    return Dataset(path.stem, splits, (SourceFile(path.name, sha256(path), verified=True),))


def _read(path: Path) -> dict[str, Array]:
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                raise ValueError("it is a single array")
            return dict(loaded)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise DataError(f"{path}: not a readable .npz file of plain arrays ({error}).") from error


def _pairs(path: Path, arrays: Mapping[str, Array]) -> dict[str, tuple[Array, Array]]:
    """Images and labels by split."""
    pairs = {}
    for images, labels in _NAMES:
        if images in arrays and labels in arrays:
            pairs["train"] = (arrays[images], _flat(path, labels, arrays[labels]))
    for pattern_images, pattern_labels in _SPLIT_NAMES:
        for alias, split in SPLIT_NAMES.items():
            images, labels = pattern_images.format(alias), pattern_labels.format(alias)
            if images in arrays and labels in arrays:
                pairs[split] = (arrays[images], _flat(path, labels, arrays[labels]))
    if "train" not in pairs:
        raise DataError(
            f"{path}: it must hold images and labels, or train_images and train_labels; "
            f"it holds {', '.join(arrays) or 'nothing'}."
        )
    return pairs


def _flat(path: Path, name: str, labels: Array) -> Array:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iuU":
        raise DataError(f"{path}: {name} must be integers or strings (N,); received {labels.dtype} {labels.shape}.")
    return labels


def _classes(path: Path, arrays: Mapping[str, Array], labels: Array) -> dict[int | str, tuple[int, str]]:
    """For each value that a label may have: the class it stands for and that class' name, in the order of classes."""
    if "class_names" not in arrays:
        values = {str(value): value for value in labels.tolist()}
        return {values[name]: (i, name) for i, name in enumerate(natural_order(values))}
    names = arrays["class_names"]
    if names.ndim != 1 or names.dtype.kind != "U" or labels.dtype.kind == "U":
        raise DataError(f"{path}: class_names must be strings (K,), and labels then integers, the places in it.")
    if not len(names) or len(set(names.tolist())) < len(names):
        raise DataError(f"{path}: class_names must be distinct names, at least one; received {names.tolist()}.")
    return {i: (i, name) for i, name in enumerate(names.tolist())}


def _pixels(path: Path, split: str, images: Array, n: int) -> Array:
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise DataError(
            f"{path}: the {split} images must be uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3) with values 0..255; "
            f"received {images.dtype} {images.shape}."
        )
    if len(images) != n:
        raise DataError(f"{path}: {len(images)} {split} images need as many labels; received {n}.")
    return images
