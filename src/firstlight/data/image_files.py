"""A user's own images: a folder of class folders, with or without splits, or a CSV of path and label.

Both become a listing, Samples by split; the listing is decoded in threads to a Dataset with one class map. What is not
read is set aside by name, with the reason; hidden files, and what systems leave in folders, are passed over.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from firstlight import memory
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
from firstlight.data.groups import (
    PARENT,
    PATTERN,
    group_by_name,
    must_tell_groups,
    needs_folders,
    with_groups,
)
from firstlight.data.names import SPLITS_SAID, merged, natural_order, nearly, one_form, split_of
from firstlight.data.store import Collector, Place, collected
from firstlight.errors import DataError, DeeperFoldersError, SizesDifferError, brief
from firstlight.files import read_bytes, sha256
from firstlight.pixels import divided
from firstlight.text import listed, printable_name
from firstlight.types import Array, Dataset, Images, SourceFile

# Beside hidden files: what systems and programs leave in folders, in small letters.
_LEFT_BEHIND = ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin", "@eadir")
AHEAD = 64  # images that are decoded before they are asked for
DEEPEST = 8  # folders below that of a class, where they tell groups


Made = TypeVar("Made")
Content = Path | bytes | DataError  # what an image is read from: a file, its bytes; or why there is none


@dataclass(frozen=True)
class Sample:
    """One image that a listing names, before it is read; `group` where the listing tells one."""

    path: Path
    id: str
    class_name: str
    group: str = ""


Listing = Mapping[str, Sequence[Sample]]


@dataclass(frozen=True)
class Contents:
    """Where the images of a listing are, if they are not files.

    read   gives what each sample is read from, in the order of the samples; it may be called again
    files  those that the images are in, with their names, and `how` they are read
    """

    read: Callable[[], Iterable[Content]]
    files: Sequence[tuple[str, Path]]
    how: str


@dataclass(frozen=True)
class _Decoded:
    """What became of one file: its pixels (H, W, C) and its hash, or why there are none."""

    pixels: Array | None
    sha256: str = ""
    reason: str = ""


def load_folder(root: Path, size: Size | None, progress: bool, group: str | None = None) -> Dataset:
    """Read `train|val|test/<class>/*` or `<class>/*`; ids are the paths below `root`.

    group  "parent", or a pattern, as of `group_by_name`: images may then lie in folders below those of their classes

    Raises DataError for an empty class folder (but in validation or test, where such a class has no images), folders
    deeper than that, a split with a class that train lacks, a class of which no image can be read, or groups that
    cannot be told.
    """
    if group is not None:
        must_tell_groups(group, f"{root} is a folder, which has no columns")
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
            listing[splits[name]] = _list_classes(root, folder, set_aside, group, needed=splits[name] == "train")
            if not listing[splits[name]]:
                raise DataError(f"{folder}: the {splits[name]} split holds no image. Fill it, or remove the folder.")
        set_aside |= _strays(root, root)
    else:
        listing = {"train": _list_classes(root, root, set_aside, group, needed=True)}
    dataset = read_listing(root.resolve().name, listing, set_aside, size, progress)
    return dataset if group is None else group_by_name(dataset, group)


def load_table(
    path: Path, size: Size | None, progress: bool, group: str | None = None, label: str | None = None
) -> Dataset:
    """Read a CSV of path, label and, if wanted, split, as `table.read` does; paths are relative to the CSV.

    group  the name of a column that holds groups; else what `group_by_name` takes
    label  the column of labels, where it has another name

    Raises DataError, with the line, for what `table.read` refuses, a file that is not there, or a path named twice.
    """
    rows, notes = table.read(path, group, label)
    listing: dict[str, list[Sample]] = {"train": []}
    lines: dict[str, int] = {}
    for row in rows:
        file = _file(path, row)
        name = Path(os.path.normpath(row.path.replace("\\", "/"))).as_posix()
        sample = Sample(file, name, row.label, one_form(row.group))
        if sample.id in lines:
            raise DataError(f"{path}, line {row.line}: {sample.id} is listed in line {lines[sample.id]} already.")
        lines[sample.id] = row.line
        listing.setdefault(row.split or "train", []).append(sample)
    dataset = read_listing(path.stem, listing, {}, size, progress)
    table_file = SourceFile(path.name, sha256(path), verified=True)
    dataset = replace(dataset, files=(table_file, *dataset.files), notes=(*notes, *dataset.notes))
    if group is None:
        return dataset
    if dataset.splits["train"].groups is None:
        return group_by_name(dataset, group)
    return with_groups(dataset, dataset.splits, group, f"the column {group}")


def _file(listed_in: Path, row: table.Row) -> Path:
    """The file that a row of a table names. Raises DataError where there is none."""
    asked = listed_in.parent / row.path
    for path in (asked, listed_in.parent / row.path.replace("\\", "/")):
        if _is(Path.is_file, path):
            return path
    hints = [
        f"There is {row.path}{end}: a path needs its extension."
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


def _list_classes(
    root: Path, folder: Path, set_aside: dict[str, str], group: str | None, *, needed: bool
) -> list[Sample]:
    """The samples of `folder`/<class>/*; what is not an image, and images beside the class folders, are set aside.

    group   of `load_folder`
    needed  whether every class folder must hold an image
    """
    classes = _folders(folder)
    if not classes:
        raise DataError(f"{folder}: there are no class folders; images belong in <class>/ or train/<class>/.")
    samples = []
    for name, class_folder in classes.items():
        files = _files_below(root, class_folder, group)
        reasons = {path: why_not(path) for path in files}
        images = [path for path, reason in reasons.items() if not reason]
        others = {_id(path, root): reason for path, reason in reasons.items() if reason}
        if not images and needed:
            first = f": {next(iter(others))}: {next(iter(others.values()))}" if others else ""
            raise DataError(f"{class_folder}: the class folder holds no image{first}.")
        set_aside |= others
        samples += [Sample(path, _id(path, root), printable_name(name)) for path in images]
    set_aside |= _strays(root, folder)
    return samples


def _files_below(root: Path, class_folder: Path, group: str | None, depth: int = 0) -> list[Path]:
    """The files of a class folder; and of the folders below it, where these tell groups. Raises DataError."""
    deeper = _folders(class_folder)
    if deeper and not needs_folders(group):
        raise DeeperFoldersError(
            f"{class_folder}: images must lie directly in their class folder; it holds the folder "
            f"{next(iter(deeper))!r}. For splits, {root} may hold only {SPLITS_SAID}. Where each such folder holds "
            f'what belongs together, as of a patient or a video, data.group = "{PARENT}" keeps it in one split.'
        )
    if deeper and (depth == DEEPEST or (depth and group == PARENT)):
        raise DataError(
            f"{class_folder}: it holds the folder {next(iter(deeper))!r}, deeper than data.group = '{brief(group)}' "
            "reads. A pattern with a / can name one of several folders: '^[^/]+/([^/]+)/' is the first below the class."
        )
    here = set(map(str, deeper.values()))
    files = [path for path in _visible(class_folder) if str(path) not in here]
    if not depth and group == PARENT and (images := [path for path in files if not why_not(path)]):
        raise DataError(
            f'data.group = "{PARENT}": the group is the name of a folder below that of the class, and {len(images):,} '
            f"images lie directly in {class_folder}, such as {printable_name(images[0].name)}. Put them into folders, "
            f"one for each group, or tell the group by a pattern over the names, such as {PATTERN}."
        )
    for path in deeper.values():
        files += _files_below(root, path, group, depth + 1)
    return files


def why_not(path: Path) -> str:
    """Why a file is not read as an image; nothing where it is tried. One without an ending is, whatever it holds."""
    if path.is_symlink() and not _is(Path.exists, path):
        return "a broken link"
    if not _is(Path.is_file, path):
        return "not a regular file"
    return "" if is_named_as_image(path.name) else _other_ending(path)


def is_named_as_image(name: str) -> bool:
    """Whether the ending of a file's name is of an image, or it has none."""
    suffix = Path(name).suffix.lower()
    return not suffix or suffix in SUFFIXES


def _other_ending(path: Path) -> str:
    return f"its extension, {printable_name(path.suffix.lower())}, is not that of a supported image format"


def _strays(root: Path, folder: Path) -> dict[str, str]:
    """Images that lie beside the class folders."""
    files = [path for path in _visible(folder) if not _is(Path.is_dir, path)]
    images = [path for path in files if not why_not(path) and (path.suffix or looks_like_an_image(path))]
    return {_id(path, root): "it lies in no class folder" for path in images}


def _id(path: Path, root: Path) -> str:
    return printable_name(path.relative_to(root).as_posix())


def read_listing(
    name: str,
    listing: Listing,
    set_aside: dict[str, str],
    size: Size | None,
    progress: bool,
    contents: Contents | None = None,
    order: Sequence[str] = (),
) -> Dataset:
    """Decode a listing; every class keeps at least one image in each split that lists it.

    order  of the classes, where it is not that of their names

    Raises DataError, of which SizesDifferError where the images differ in size and none is asked for.
    """
    contents = contents or _files_of(listing)
    notes = merged(sample.class_name for samples in listing.values() for sample in samples)
    listing = {
        split: [replace(sample, class_name=one_form(sample.class_name)) for sample in samples]
        for split, samples in listing.items()
    }
    class_names = _class_map(name, listing, order)
    samples = [sample for split in listing.values() for sample in split]

    def build(collector: Collector) -> dict[str, Array]:
        decoded = _decoded(contents.read(), len(samples), size, progress)
        results = [_without_pixels(one, collector) for one in decoded]
        _must_be_of_all_classes(name, listing, {s.id: r.reason for s, r in zip(samples, results, strict=True)})
        _must_be_one_size(name, collector.sizes)
        return {
            "sha256": np.array([result.sha256 for result in results]),
            "reasons": np.array([result.reason for result in results]),
        }

    with strict_about_size():
        common = _one_size(name, contents.read()) if size is None else size
        pixels, beside = collected(_place(name, contents, len(samples), size, common), len(samples), build)
    hashes, reasons = beside["sha256"].tolist(), beside["reasons"].tolist()
    set_aside = set_aside | {s.id: reason for s, reason in zip(samples, reasons, strict=True) if reason}
    kept = {split: [s for s in listed_there if s.id not in set_aside] for split, listed_there in listing.items()}
    parts = zip(kept.items(), divided(pixels, map(len, kept.values())), strict=True)
    splits = {split: _images(those, its, class_names) for (split, those), its in parts if those}
    files = [
        SourceFile(s.id, sha, verified=True)
        for s, sha, reason in zip(samples, hashes, reasons, strict=True)
        if not reason
    ]
    return Dataset(name, splits, tuple(files), set_aside, notes=tuple(notes))


def _files_of(listing: Listing) -> Contents:
    """Those of a listing of files."""
    files = [(sample.id, sample.path) for samples in listing.values() for sample in samples]
    return Contents(lambda: (path for _, path in files), files, "image files")


def _place(name: str, contents: Contents, n: int, size: Size | None, common: Size | None) -> Place | None:
    """Where decoded images are kept if they may be too many for the memory, three bytes per pixel."""
    if common is None or 3 * math.prod(common) * n <= memory.limit():
        return None
    return Place.of(name, contents.files, f"{contents.how} {size}")


def _without_pixels(result: _Decoded, collector: Collector) -> _Decoded:
    """What is left of a decoded file when its pixels went to the collector."""
    if result.pixels is None:
        return result
    collector.append(result.pixels)
    return replace(result, pixels=None)


def _must_be_of_all_classes(name: str, listing: Listing, reasons: Mapping[str, str]) -> None:
    """Raise DataError where no image of a class that a split lists could be read."""
    for split, samples in listing.items():
        lost = {s.class_name for s in samples} - {s.class_name for s in samples if not reasons[s.id]}
        if lost:
            first = next(s for s in samples if s.class_name in lost)
            raise DataError(
                f"{name}: no image of class {first.class_name!r} in {split} can be read; "
                f"{first.id}: {reasons[first.id]}."
            )


def _class_map(name: str, listing: Listing, order: Sequence[str]) -> tuple[str, ...]:
    found = {sample.class_name for sample in listing["train"]}
    class_names = tuple(class_name for class_name in order if class_name in found) or tuple(natural_order(found))
    if not class_names:
        raise DataError(f"{name}: there are no training images.")
    for split, samples in listing.items():
        extra = natural_order({sample.class_name for sample in samples} - set(class_names))
        if extra:
            pairs = [(one, nearly(one, class_names)) for one in extra]
            near = [
                f" {one!r} is nearly {other!r}: use the same name for the same class." for one, other in pairs if other
            ]
            raise DataError(
                f"{name}: {split} has classes that train lacks: {', '.join(extra)}. Train has {', '.join(class_names)}."
                f"{''.join(near[:1])}"
            )
    return class_names


def _one_size(name: str, contents: Iterable[Content]) -> Size | None:
    """The size of all images, by their heads; None where none can be read."""

    def one(content: Content) -> Size | None:
        return None if isinstance(content, DataError) else upright_size(content)

    sizes = Counter(size for size in _in_threads(one, contents) if size)
    _must_be_one_size(name, sizes)
    return next(iter(sizes), None)


def _must_be_one_size(name: str, sizes: Counter[Size]) -> None:
    if len(sizes) > 1:
        common = [f"{height}×{width} ({n})" for (height, width), n in sizes.most_common()]
        raise SizesDifferError(
            f"{name}: the images differ in size (height × width): {listed(common, most=5)}. "
            "Give a size to which all are resized: --set data.size=64 for a run (data.size in its file), --size 64 for "
            "firstlight data, size=64 in Python."
        )


def _decoded(contents: Iterable[Content], n: int, size: Size | None, progress: bool) -> Iterator[_Decoded]:
    """What becomes of each image, in order."""
    from tqdm import tqdm  # slow to import

    def one(content: Content) -> _Decoded:
        try:
            if isinstance(content, DataError):
                raise content
            data = content if isinstance(content, bytes) else read_bytes(content, limit=FILE_LIMIT)
            return _Decoded(decode(data, size), hashlib.sha256(data).hexdigest())
        except OSError as error:
            return _Decoded(None, reason=f"cannot be read: {error.strerror}")
        except DataError as error:
            return _Decoded(None, reason=str(error))

    yield from tqdm(_in_threads(one, contents), total=n, desc="decoding", unit="image", disable=not progress)


def _in_threads(function: Callable[[Content], Made], contents: Iterable[Content]) -> Iterator[Made]:
    """What a function makes of each, in order; a few are begun before they are asked for."""
    with ThreadPoolExecutor() as pool:
        waiting: deque[Future[Made]] = deque()
        for content in contents:
            waiting.append(pool.submit(function, content))
            if len(waiting) == AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _images(samples: Sequence[Sample], pixels: Any, class_names: tuple[str, ...]) -> Images:
    """The images of samples whose pixels these are."""
    index = {name: i for i, name in enumerate(class_names)}
    labels = np.array([index[sample.class_name] for sample in samples], np.int64)
    ids, groups = (np.array([getattr(sample, name) for sample in samples], dtype=np.str_) for name in ("id", "group"))
    return Images(pixels, labels, ids, class_names, groups if groups.any() else None)
