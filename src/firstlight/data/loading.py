"""`load`: a named source, or a user's own images, to a Dataset."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.data import sources  # noqa: F401  which registers them
from firstlight.data.arrays import from_arrays, load_arrays, load_published, published_files
from firstlight.data.arrow_tables import is_parquet
from firstlight.data.decoding import Size, resize
from firstlight.data.image_files import load_folder, load_table
from firstlight.data.parquet import load_parquet
from firstlight.data.source import SOURCES
from firstlight.data.store import spilled
from firstlight.errors import DataError, brief
from firstlight.options import read_size
from firstlight.types import Array, Dataset

LARGEST_SIDE = 1024  # of an image that `load` resizes to; larger ones would fill the memory

_PACKED = " Unpack it, and give the folder."
_REMEDIES = {
    **dict.fromkeys((".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"), _PACKED),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), " Save the table as CSV."),
    **dict.fromkeys((".pkl", ".pickle", ".pt", ".pth"), " Nothing is unpickled: save its arrays with numpy.savez."),
    **dict.fromkeys((".h5", ".hdf5", ".mat", ".npy"), " Save its arrays with numpy.savez, images and labels."),
}


def load(
    source: Any,
    *,
    size: int | Size | None = None,
    unverified: bool = False,
    cache: Path | None = None,
    progress: bool | None = None,
    group: str | Sequence[Any] | Array | None = None,
    label: str | None = None,
) -> Dataset:
    """Read a named source, or a user's own images from a folder, a table, an .npz file, or memory.

    source      one of `SOURCES`, such as "mnist" or "openml:554", or a path; "./mnist" is the path. Tables are a CSV of
                path and label, Parquet files and saved Hugging Face datasets. Or arrays: a pair (images, labels), or a
                mapping of names as in an .npz
    size        resize every image to (H, W), each 1 to 1024; one number means a square. A user's own images need it
                where they differ in size
    unverified  read a named source's files even where their checksums are not the published ones
    cache       keep the files of named sources here, instead of in FIRSTLIGHT_DATA or the user's cache folder
    progress    show bars on stderr while files are downloaded or decoded; None: where stderr is a terminal
    group       what tells which images belong together, so that no split divides them: the name of a column of a CSV or
                of an array; "parent", the folder that an image lies in; or a pattern over its name with the group in
                parentheses. Beside a pair of arrays, an array (N,) of groups
    label       the column of a table that tells the class, where its name does not

    Raises DataError when the source is unknown, cannot be found, downloaded or verified, or is malformed, or where the
    groups cannot be told.
    """
    sides = _sides(size)
    progress = sys.stderr.isatty() if progress is None else progress
    if label is not None and (not isinstance(label, str) or not label.strip()):
        raise DataError(f"data.label is the name of a column of a table; received {label!r}.")
    if not isinstance(source, str | Path):
        if label is not None:
            raise DataError("label names a column of a table, and beside arrays there is none: leave it out.")
        return from_arrays(source, sides, group=group)
    if not isinstance(group, str | None):
        raise DataError(
            "group may be an array only beside arrays of images; for a source, it is a string. See data.group."
        )
    if group == "":
        raise DataError("data.group is empty: leave it out if no images belong together.")
    if isinstance(source, str) and source in SOURCES:
        dataset = SOURCES[source].load(unverified=unverified, cache=cache, progress=progress, group=group, label=label)
        dataset = _resized(dataset, sides)
    else:
        dataset = _load_own(source, sides, progress, group, label)
    return replace(spilled(dataset, f"{source} {sides} {label}"), origin=str(source), label=label or "")


def _sides(size: Any) -> Size | None:
    """The height and width to resize to."""
    if size is None:
        return None
    try:
        sides = read_size(size)
    except ValueError:
        sides = None
    if sides is None or not all(isinstance(side, int | np.integer) and 1 <= side <= LARGEST_SIDE for side in sides):
        raise DataError(
            f"data.size must be a height and a width, or one number for a square, each 1 to {LARGEST_SIDE}; "
            f"received {size!r}."
        )
    return int(sides[0]), int(sides[1])


def _load_own(source: str | Path, size: Size | None, progress: bool, group: str | None, label: str | None) -> Dataset:
    try:
        path = Path(source).expanduser()
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # too long a name, ~ of nobody, a NUL
        raise DataError(f"{str(source)[:200]!r} is not a path: {getattr(error, 'strerror', None) or error}.") from None
    if is_folder or is_file:
        files = published_files(path)
        if files:
            _must_have_columns(path, label)
            return load_published(path, files, size, group)
    if (is_folder or is_file) and is_parquet(path):
        return load_parquet(path, size, progress, group, label)
    if is_folder:
        _must_have_columns(path, label)
        return load_folder(path, size, progress, group)
    if not is_file:
        looks_like_a_path = isinstance(source, Path) or path.suffix or "/" in source or os.sep in source
        looked = "" if path.is_absolute() else f" Looked for {path.absolute()}."
        raise DataError(
            f"{source}: there is no such file or folder.{looked}"
            if looks_like_a_path
            else SOURCES.none_such(str(source), f"There is no source and no folder called {source!r}.{looked}")
        )
    match path.suffix.lower():
        case ".csv" | ".tsv":
            return load_table(path, size, progress, group, label)
        case ".npz":
            _must_have_columns(path, label)
            return load_arrays(path, size, group)
    raise DataError(
        f"{path}: images are read from a folder, a .csv of path and label, or a .parquet, .npz or idx file."
        f"{_REMEDIES.get(path.suffix.lower(), '')}"
    )


def _must_have_columns(path: Path, label: str | None) -> None:
    if label is not None:
        raise DataError(
            f"data.label = '{brief(label)}' names a column of a table (a CSV, Parquet files, a set of OpenML), "
            f"and {path} has none: leave it out."
        )


def _resized(dataset: Dataset, size: Size | None) -> Dataset:
    if size is None:
        return dataset
    splits = {name: replace(images, pixels=resize(images.pixels, size)) for name, images in dataset.splits.items()}
    return replace(dataset, splits=splits)
