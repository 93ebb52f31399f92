"""A user's own images: a folder of class folders, with or without splits, or a CSV of path and label.

Both become a listing, Samples by split; the listing is decoded in threads to a Dataset with one class map. What is not
read is set aside by name, with the reason; hidden files, and what systems leave in folders, are passed over.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from firstlight.data import table
from firstlight.data.decoding import (
    FILE_LIMIT,
    SUFFIXES,
    Size,
    decode,
    looks_like_an_image,
    strict_about_size,
    upright_size,
)
from firstlight.data.names import SPLITS_SAID, merged, natural_order, nearly, one_form, split_of
from firstlight.errors import DataError, SizesDifferError
from firstlight.files import read_bytes, sha256
from firstlight.text import listed, printable_name
from firstlight.types import Array, Dataset, Images, SourceFile

# Beside hidden files: what systems and programs leave in folders, in small letters.
_LEFT_BEHIND = ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin", "@eadir")


@dataclass(frozen=True)
class Sample:
    """One image file that a listing names, before it is read."""

    path: Path
    id: str
    class_name: str


Listing = Mapping[str, Sequence[Sample]]


@dataclass(frozen=True)
class _Decoded:
    """What became of one file: its pixels (H, W, C) and its hash, or why there are none."""

    pixels: Array | None
    sha256: str = ""
    reason: str = ""


def load_folder(root: Path, size: Size | None, progress: bool) -> Dataset:
    """Read `train|val|test/<class>/*` or `<class>/*`; ids are the paths below `root`.

    Raises DataError for an empty class folder (but in validation or test, where such a class has no images), folders
    deeper than that, a split with a class that train lacks, or a class of which no image can be read.
    """
    set_aside: dict[str, str] = {}
    folders = _folders(root)
    splits = {name: split_of(name) for name in folders}
    if folders and all(splits.values()):
        if "train" not in splits.values():
            raise DataError(f"{root}: there are splits {list(folders)} but no folder 'train'.")
        listing: dict[str, list[Sample]] = {}
        for name, folder in folders.items():
            if splits[name] in listing:
                raise DataError(f"{root}: two folders hold the {splits[name]} split. Keep one of {list(folders)}.")
            listing[splits[name]] = _list_classes(root, folder, set_aside, needed=splits[name] == "train")
            if not listing[splits[name]]:
                raise DataError(f"{folder}: the {splits[name]} split holds no image. Fill it, or remove the folder.")
        set_aside |= _strays(root, root)
    else:
        listing = {"train": _list_classes(root, root, set_aside, needed=True)}
    return _read(root.resolve().name, listing, set_aside, size, progress)


def load_table(path: Path, size: Size | None, progress: bool) -> Dataset:
    """Read a CSV of path, label and, if wanted, split, as `table.read` does; paths are relative to the CSV.

    Raises DataError, with the line, for what `table.read` refuses, a file that is not there, or a path named twice.
    """
    rows, notes = table.read(path)
    listing: dict[str, list[Sample]] = {"train": []}
    lines: dict[str, int] = {}
    for row in rows:
        file = _file(path, row)
        sample = Sample(file, Path(os.path.normpath(row.path.replace("\\", "/"))).as_posix(), row.label)
        if sample.id in lines:
            raise DataError(f"{path}, line {row.line}: {sample.id} stands in line {lines[sample.id]} already.")
        lines[sample.id] = row.line
        listing.setdefault(row.split or "train", []).append(sample)
    dataset = _read(path.stem, listing, {}, size, progress)
    table_file = SourceFile(path.name, sha256(path), verified=True)
    return replace(dataset, files=(table_file, *dataset.files), notes=(*notes, *dataset.notes))


def _file(listed_in: Path, row: table.Row) -> Path:
    """The file that a row of a table names. Raises DataError where there is none."""
    asked = listed_in.parent / row.path
    for path in (asked, listed_in.parent / row.path.replace("\\", "/")):
        if _is(Path.is_file, path):
            return path
    hints = [
        f"There is {row.path}{end}: a path needs its ending."
        for end in SUFFIXES
        if _is(Path.is_file, Path(f"{asked}{end}"))
    ]
    if "\\" in row.path:
        hints.append("Folders are separated by /, not by a backslash.")
    raise DataError(
        f"{listed_in}, line {row.line}: there is no file {str(asked)[:400]}. {' '.join(hints[:1])}".rstrip()
    )


def _is(what: Callable[[Path], bool], path: Path) -> bool:
    """Whether a path is a file or a folder; it is not where that cannot be found out."""
    try:
        return what(path)
    except (OSError, ValueError):
        return False


def _folders(folder: Path) -> dict[str, Path]:
    return {entry.name: entry for entry in _visible(folder) if _is(Path.is_dir, entry)}


def _visible(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: the folder cannot be read: {error.strerror}.") from error
    return [entry for entry in entries if is_visible(entry.name)]


def is_visible(name: str) -> bool:
    """Whether a file or folder of that name is a user's, neither hidden nor left behind by a system."""
    return not name.startswith(".") and name.casefold() not in _LEFT_BEHIND


def _list_classes(root: Path, folder: Path, set_aside: dict[str, str], *, needed: bool) -> list[Sample]:
    """The samples of `folder`/<class>/*; what is no image there, and images beside the class folders, are set aside.

    needed  whether every class folder must hold an image
    """
    classes = _folders(folder)
    if not classes:
        raise DataError(f"{folder}: there are no class folders; images belong into <class>/ or train/<class>/.")
    samples = []
    for name, class_folder in classes.items():
        deeper = _folders(class_folder)
        if deeper:
            raise DataError(
                f"{class_folder}: images must lie directly in their class folder; it holds the folder "
                f"{next(iter(deeper))!r}. For splits, {root} may hold only {SPLITS_SAID}."
            )
        reasons = {path: why_not(path) for path in _visible(class_folder)}
        images = [path for path, reason in reasons.items() if not reason]
        others = {_id(path, root): reason for path, reason in reasons.items() if reason}
        if not images and needed:
            first = f": {next(iter(others))}: {next(iter(others.values()))}" if others else ""
            raise DataError(f"{class_folder}: the class folder holds no image{first}.")
        set_aside |= others
        samples += [Sample(path, _id(path, root), printable_name(name)) for path in images]
    set_aside |= _strays(root, folder)
    return samples


def why_not(path: Path) -> str:
    """Why a file is not read as an image; nothing where it is tried. One without an ending is, whatever it holds."""
    if path.is_symlink() and not _is(Path.exists, path):
        return "a link that leads nowhere"
    if not _is(Path.is_file, path):
        return "not a regular file"
    return "" if is_named_as_image(path.name) else _other_ending(path)


def is_named_as_image(name: str) -> bool:
    """Whether the ending of a file's name is of an image, or it has none."""
    suffix = Path(name).suffix.lower()
    return not suffix or suffix in SUFFIXES


def _other_ending(path: Path) -> str:
    return f"its ending, {printable_name(path.suffix.lower())}, is of no image format that is read here"


def _strays(root: Path, folder: Path) -> dict[str, str]:
    """Images that lie beside the class folders."""
    files = [path for path in _visible(folder) if not _is(Path.is_dir, path)]
    images = [path for path in files if not why_not(path) and (path.suffix or looks_like_an_image(path))]
    return {_id(path, root): "it lies in no class folder" for path in images}


def _id(path: Path, root: Path) -> str:
    return printable_name(path.relative_to(root).as_posix())


def _read(name: str, listing: Listing, set_aside: dict[str, str], size: Size | None, progress: bool) -> Dataset:
    """Decode a listing; every class keeps at least one image in each split that lists it."""
    notes = merged(sample.class_name for samples in listing.values() for sample in samples)
    listing = {
        split: [replace(sample, class_name=one_form(sample.class_name)) for sample in samples]
        for split, samples in listing.items()
    }
    class_names = _class_map(name, listing)
    samples = [sample for split in listing.values() for sample in split]
    with strict_about_size():
        if size is None:
            _check_one_size(name, samples)
        decoded = dict(zip((s.id for s in samples), _decode_all(samples, size, progress), strict=True))
    set_aside = set_aside | {sample: result.reason for sample, result in decoded.items() if result.pixels is None}
    kept = {split: [s for s in samples if s.id not in set_aside] for split, samples in listing.items()}
    for split, split_samples in listing.items():
        lost = {s.class_name for s in split_samples} - {s.class_name for s in kept[split]}
        if lost:
            first = next(s for s in split_samples if s.class_name in lost)
            raise DataError(
                f"{name}: no image of class {first.class_name!r} in {split} can be read; "
                f"{first.id}: {set_aside[first.id]}."
            )
    shapes = [result.pixels.shape for result in decoded.values() if result.pixels is not None]
    _must_be_one_size(name, Counter(shape[:2] for shape in shapes))
    channels = max(shape[2] for shape in shapes)
    splits = {
        split: _stack(split_samples, decoded, channels, class_names)
        for split, split_samples in kept.items()
        if split_samples
    }
    files = [SourceFile(s.id, decoded[s.id].sha256, verified=True) for samples in kept.values() for s in samples]
    return Dataset(name, splits, tuple(files), set_aside, notes=tuple(notes))


def _class_map(name: str, listing: Listing) -> tuple[str, ...]:
    class_names = tuple(natural_order(sample.class_name for sample in listing["train"]))
    if not class_names:
        raise DataError(f"{name}: there are no training images.")
    for split, samples in listing.items():
        extra = natural_order({sample.class_name for sample in samples} - set(class_names))
        if extra:
            pairs = [(one, nearly(one, class_names)) for one in extra]
            near = [f" {one!r} is nearly {other!r}: give one class one name." for one, other in pairs if other]
            raise DataError(
                f"{name}: {split} has classes that train lacks: {', '.join(extra)}. Train has {', '.join(class_names)}."
                f"{''.join(near[:1])}"
            )
    return class_names


def _check_one_size(name: str, samples: Sequence[Sample]) -> None:
    with ThreadPoolExecutor() as pool:
        _must_be_one_size(name, Counter(size for size in pool.map(upright_size, (s.path for s in samples)) if size))


def _must_be_one_size(name: str, sizes: Counter[Size]) -> None:
    if len(sizes) > 1:
        common = [f"{height}×{width} ({n})" for (height, width), n in sizes.most_common()]
        raise SizesDifferError(
            f"{name}: the images differ in size (height × width): {listed(common, most=5)}. "
            "Say what all are resized to: --set data.size=64 for a run (data.size in its file), --size 64 for "
            "firstlight data, size=64 in Python."
        )


def _decode_all(samples: Sequence[Sample], size: Size | None, progress: bool) -> list[_Decoded]:
    from tqdm import tqdm  # slow to import

    def one(sample: Sample) -> _Decoded:
        try:
            data = read_bytes(sample.path, limit=FILE_LIMIT)
            return _Decoded(decode(data, size), hashlib.sha256(data).hexdigest())
        except OSError as error:
            return _Decoded(None, reason=f"cannot be read: {error.strerror}")
        except DataError as error:
            return _Decoded(None, reason=str(error))

    with ThreadPoolExecutor() as pool:
        results = pool.map(one, samples)
        return list(tqdm(results, total=len(samples), desc="decoding", unit="image", disable=not progress))


def _stack(
    samples: Sequence[Sample], decoded: Mapping[str, _Decoded], channels: int, class_names: tuple[str, ...]
) -> Images:
    """The pixels of all samples in one array; grey images among colour ones are repeated over the channels."""
    images = [decoded[sample.id].pixels for sample in samples]
    pixels = np.stack([np.broadcast_to(x, (*x.shape[:2], channels)) for x in images if x is not None])
    index = {name: i for i, name in enumerate(class_names)}
    labels = np.array([index[sample.class_name] for sample in samples], np.int64)
    return Images(pixels, labels, np.array([sample.id for sample in samples], dtype=np.str_), class_names)
