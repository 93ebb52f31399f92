"""Image files by whatever names them: paths, folders with all below, patterns, tables, and lists of paths.

They are told one by one, in order; of a folder the names are held while its files are told, and of all else nothing.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from firstlight.data import table
from firstlight.data.image_files import is_named_as_image, is_visible, why_not
from firstlight.errors import DataError
from firstlight.files import is_file, is_folder
from firstlight.text import printable_name

STANDARD_INPUT = "-"
TABLES = (".csv", ".tsv")
SHOWN = 5  # of the files that are not images

_BLOCK = 1 << 16  # bytes of a list that are read at a time


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file that was named, or met in a folder, before it is read.

    path      as text that the file system takes, bytes that are no UTF-8 as surrogates
    label     its class, where a table gives it
    reason    why it is not read
    is_other  it is not read since, by its ending, it is not an image, and nobody named it by itself
    """

    path: str
    label: str = ""
    reason: str = ""
    is_other: bool = False


def listed_files(
    named: Iterable[str | Path], *, labelled: bool = False, standard_input: BinaryIO | None = None
) -> Iterator[ListedFile]:
    """The files that paths name: image files; folders, with all that are below; patterns such as "new/*.png", where **
    stands for folders in folders; tables, .csv or .tsv, with a column of paths, relative to the table; and "-".

    labelled        tables must have a column of labels
    standard_input  the list that "-" stands for: a path a line, or paths that end with NUL

    Raises DataError where a folder or a pattern has no image, or a table cannot be read.
    """
    for path in map(str, named):
        if path == STANDARD_INPUT:
            if standard_input is None:
                raise DataError('"-" stands for a list on standard input, but standard input is a terminal.')
            yield from (ListedFile(line) for line in _lines(standard_input))
        elif is_folder(path):
            yield from _some(_below(str(Path(path))), f"{printable_name(path)}: the folder holds no image.")
        elif Path(path).suffix.lower() in TABLES:
            yield from _of_table(Path(path), labelled)
        elif glob.has_magic(path) and not is_file(path):
            yield from _some(_matching(path), f"{printable_name(path)}: no image matches the pattern.")
        else:
            yield ListedFile(str(Path(path)))


@dataclass(frozen=True)
class Survey:
    """What is named, before any image is read.

    files   how many are to be read; None where a list on standard input tells
    others  how many are not images, and `such_as` the first of them
    """

    files: int | None
    others: int
    such_as: tuple[str, ...]


def survey(named: Iterable[str | Path], *, labelled: bool = False) -> Survey:
    """Go through all that is named but standard input. Raises DataError as `listed_files` does."""
    paths = list(map(str, named))
    files, others = 0, 0
    such_as: list[str] = []
    for file in listed_files((path for path in paths if path != STANDARD_INPUT), labelled=labelled):
        files += not file.is_other
        others += file.is_other
        if file.is_other and len(such_as) < SHOWN:
            such_as.append(file.path)
    return Survey(None if STANDARD_INPUT in paths else files, others, tuple(such_as))


def _some(files: Iterator[ListedFile], otherwise: str) -> Iterator[ListedFile]:
    """The files; an error where none of them is an image, with the first reason that is not an ending."""
    found, why = False, ""
    for file in files:
        found |= not file.reason
        why = why or ("" if file.is_other or found else f" {printable_name(file.path)}: {file.reason}.")
        yield file
    if not found:
        raise DataError(f"{otherwise}{why}")


def _below(folder: str) -> Iterator[ListedFile]:
    """The files of a folder and of those in it, sorted by name. Links to folders are not followed."""
    names: list[str] = []
    folders, odd = set(), set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_visible(entry.name):
                    names.append(entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        folders.add(entry.name)
                    elif not entry.is_file(follow_symlinks=False):
                        odd.add(entry.name)
    except OSError as error:
        yield ListedFile(folder, reason=f"the folder cannot be read: {error.strerror}")
        return
    names.sort()
    for name in names:
        path = name if folder == os.curdir else os.path.join(folder, name)  # noqa: PTH118  (a Path for each takes long)
        if name in folders:
            yield from _below(path)
        elif name in odd and is_folder(path):
            yield ListedFile(path, reason="a link to a folder")
        elif name not in odd and is_named_as_image(name):
            yield ListedFile(path)
        else:
            yield _met(path)


def _matching(pattern: str) -> Iterator[ListedFile]:
    for path in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207  (which takes no absolute patterns)
        if not is_folder(path):
            yield _met(path)
        elif "**" not in pattern:  # which has matched what is in them too
            yield from _below(path)


def _met(path: str) -> ListedFile:
    """A file that nobody named by itself."""
    return ListedFile(path, reason=why_not(Path(path)), is_other=is_file(path) and not is_named_as_image(path))


def _of_table(path: Path, labelled: bool) -> Iterator[ListedFile]:
    for row in table.rows(path, labelled=labelled):
        if not row.path or (labelled and not row.label):
            missing = "label" if row.path else "path"
            yield ListedFile(f"{path}, line {row.line}", reason=f"the {missing} is empty")
            continue
        file = path.parent / row.path
        if "\\" in row.path and not is_file(file):
            file = path.parent / row.path.replace("\\", "/")
        yield ListedFile(str(file), row.label)


def _lines(file: BinaryIO) -> Iterator[str]:
    """The paths of a list, without empty ones: each is a line or, where there is a NUL early on, ends with NUL."""
    left, end = b"", b""
    read = getattr(file, "read1", file.read)  # which does not wait for a whole block
    while block := read(_BLOCK):
        left += block
        end = end or (b"\0" if b"\0" in left else b"\n" if b"\n" in left else b"")
        if end:
            *whole, left = left.split(end)
            yield from (os.fsdecode(path.rstrip(b"\r")) for path in whole if path.strip())
    if left.strip():
        yield os.fsdecode(left.rstrip(b"\r\n"))
