"""A user's own images: a folder of class folders, with or without splits, or a CSV of path and label.

Both become a listing, Samples by split; the listing is decoded in threads to a Dataset with one class map.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firstlight.data.decode import SUFFIXES, Size, decode, strict_about_size, upright_size
from firstlight.errors import DataError, SizesDifferError
from firstlight.files import sha256
from firstlight.types import Array, Dataset, Images, SourceFile

SPLIT_NAMES = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


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

    Hidden files and files that are no images are passed over. Raises DataError for an empty class folder, folders
    deeper than that, a split with a class that train lacks, or a class of which no image can be read.
    """
    set_aside: dict[str, str] = {}
    folders = _folders(root)
    if "train" in folders and set(folders) <= set(SPLIT_NAMES):
        listing: dict[str, list[Sample]] = {}
        for name, folder in folders.items():
            if SPLIT_NAMES[name] in listing:
                raise DataError(f"{root}: two folders hold the {SPLIT_NAMES[name]} split. Keep one of {list(folders)}.")
            listing[SPLIT_NAMES[name]] = _list_classes(root, folder, set_aside)
        set_aside |= _strays(root, root)
    elif folders and set(folders) <= set(SPLIT_NAMES):
        raise DataError(f"{root}: there are splits {list(folders)} but no folder 'train'.")
    else:
        listing = {"train": _list_classes(root, root, set_aside)}
    return _read(root.resolve().name, listing, set_aside, size, progress)


def load_table(path: Path, size: Size | None, progress: bool) -> Dataset:
    """Read a CSV with the header `path,label` and, if wanted, `split`; paths are relative to the CSV.

    Raises DataError, with the line, for a missing column, value or file, an unknown split, or a path named twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, strict=True)
            missing = {"path", "label"} - set(table.fieldnames or ())
            if missing:
                raise DataError(
                    f"{path}: the first line must name the columns path and label (and split, if wanted); "
                    f"received {','.join(table.fieldnames or ()) or 'nothing'}."
                )
            listing: dict[str, list[Sample]] = {"train": []}
            lines: dict[str, int] = {}
            for row in table:
                split, sample = _sample(row, f"{path}, line {table.line_num}", path.parent)
                first = lines.setdefault(sample.id, table.line_num)
                if first != table.line_num:
                    raise DataError(f"{path}, line {table.line_num}: {sample.id} stands in line {first} already.")
                listing.setdefault(split, []).append(sample)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV file in UTF-8 ({error}).") from error
    dataset = _read(path.stem, listing, {}, size, progress)
    table_file = SourceFile(path.name, sha256(path), verified=True)
    return Dataset(dataset.name, dataset.splits, (table_file, *dataset.files), dataset.set_aside)


def natural_order(names: Iterable[str]) -> list[str]:
    """The distinct names as a person counts: "class2" before "class10", capitals beside small letters."""

    def key(name: str) -> tuple[list[str | int], str]:
        parts = re.split("([0-9]+)", name)
        return [int(part) if i % 2 else part.casefold() for i, part in enumerate(parts)], name

    return sorted(set(names), key=key)


def _sample(row: Mapping[str, str | None], where: str, folder: Path) -> tuple[str, Sample]:
    path, label = (row["path"] or "").strip(), (row["label"] or "").strip()
    if not path or not label:
        raise DataError(f"{where}: the {'label' if path else 'path'} is empty.")
    split = (row.get("split") or "train").strip().lower()
    if split not in SPLIT_NAMES:
        raise DataError(f"{where}: the split is one of {', '.join(SPLIT_NAMES)}; received {split!r}.")
    if not (folder / path).is_file():
        raise DataError(f"{where}: there is no file {folder / path}.")
    return SPLIT_NAMES[split], Sample(folder / path, Path(os.path.normpath(path)).as_posix(), label)


def _folders(folder: Path) -> dict[str, Path]:
    return {entry.name: entry for entry in _visible(folder) if entry.is_dir()}


def _visible(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: the folder cannot be read: {error.strerror}.") from error
    return [entry for entry in entries if not entry.name.startswith((".", "__MACOSX"))]


def _list_classes(root: Path, folder: Path, set_aside: dict[str, str]) -> list[Sample]:
    """The samples of `folder`/<class>/*; images beside the class folders go to `set_aside`."""
    classes = _folders(folder)
    if not classes:
        raise DataError(f"{folder}: there are no class folders; images belong into <class>/ or train/<class>/.")
    samples = []
    for name, class_folder in classes.items():
        deeper = _folders(class_folder)
        if deeper:
            raise DataError(
                f"{class_folder}: images must lie directly in their class folder; it holds the folder "
                f"{next(iter(deeper))!r}. For splits, {root} may hold only {', '.join(SPLIT_NAMES)}."
            )
        images = _images_in(class_folder)
        if not images:
            raise DataError(f"{class_folder}: the class folder holds no image (PNG, JPEG, BMP or WebP).")
        samples += [Sample(path, _id(path, root), _text(name)) for path in images]
    set_aside |= _strays(root, folder)
    return samples


def _images_in(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.suffix.lower() in SUFFIXES and path.is_file()]


def _strays(root: Path, folder: Path) -> dict[str, str]:
    return {_id(path, root): "it lies in no class folder" for path in _images_in(folder)}


def _id(path: Path, root: Path) -> str:
    return _text(path.relative_to(root).as_posix())


def _text(name: str) -> str:
    """A file name that can be printed: bytes that are no UTF-8 are shown as \\xNN."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _read(name: str, listing: Listing, set_aside: dict[str, str], size: Size | None, progress: bool) -> Dataset:
    """Decode a listing; every class keeps at least one image in each split that lists it."""
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
    channels = max(result.pixels.shape[2] for result in decoded.values() if result.pixels is not None)
    splits = {
        split: _stack(split_samples, decoded, channels, class_names)
        for split, split_samples in kept.items()
        if split_samples
    }
    files = [SourceFile(s.id, decoded[s.id].sha256, verified=True) for samples in kept.values() for s in samples]
    return Dataset(name, splits, tuple(files), set_aside)


def _class_map(name: str, listing: Listing) -> tuple[str, ...]:
    class_names = tuple(natural_order(sample.class_name for sample in listing["train"]))
    if not class_names:
        raise DataError(f"{name}: there are no training images.")
    for split, samples in listing.items():
        extra = natural_order({sample.class_name for sample in samples} - set(class_names))
        if extra:
            raise DataError(
                f"{name}: {split} has classes that train lacks: {', '.join(extra)}. Train has {', '.join(class_names)}."
            )
    return class_names


def _check_one_size(name: str, samples: Sequence[Sample]) -> None:
    with ThreadPoolExecutor() as pool:
        sizes = Counter(size for size in pool.map(upright_size, (s.path for s in samples)) if size)
    if len(sizes) > 1:
        common = [f"{height}×{width} ({n})" for (height, width), n in sizes.most_common(5)]
        more = f" and {len(sizes) - 5} more sizes" if len(sizes) > 5 else ""
        raise SizesDifferError(
            f"{name}: the images differ in size (height × width): {', '.join(common)}{more}. "
            "Say what all are resized to: --set data.size=64 for a run (data.size in its file), --size 64 for "
            "firstlight data, size=64 in Python."
        )


def _decode_all(samples: Sequence[Sample], size: Size | None, progress: bool) -> list[_Decoded]:
    from tqdm import tqdm  # slow to import

    def one(sample: Sample) -> _Decoded:
        try:
            data = sample.path.read_bytes()
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
