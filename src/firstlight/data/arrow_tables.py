"""The files of a table of Arrow: Parquet, alone or in a folder as on the Hugging Face hub, and saved datasets of it.

Splits are told by the names of the files or of their folders.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firstlight.data.arrow_messages import unpacked_bytes
from firstlight.data.decoding import SUFFIXES
from firstlight.data.formats import must_fit
from firstlight.data.names import SPLITS_SAID, split_of
from firstlight.errors import DataError, brief
from firstlight.files import MB, read_text
from firstlight.text import listed, printable_name
from firstlight.types import SPLITS

TABLES = (".parquet", ".pq", ".arrow")
SAVED, SAVED_SPLITS = "state.json", "dataset_dict.json"  # of a dataset, and of several splits, that save_to_disk wrote
DEEPEST = 5  # folders below the one that is given, in which files are looked for
LOOKED_AT = 2_000  # entries, when a folder is asked whether it holds such files
BATCH = 256  # rows that are read at a time

_HEAD = 16 * MB
_FILE = b"ARROW1\0\0"  # what a file of Arrow begins with; a stream of its messages follows, and a list of their places


@dataclass(frozen=True)
class Part:
    """A file of a set, the split that its name tells ("" where none), and its columns.

    features  what Hugging Face's datasets say of the columns
    """

    path: Path
    split: str
    schema: Any
    rows: int
    features: Mapping[str, Any]


def is_parquet(path: Path) -> bool:
    """Whether a file, or a folder with such files and no images in it, is a table of images."""
    if path.is_file():
        return path.suffix.lower() in TABLES
    if (path / SAVED).is_file() or (path / SAVED_SPLITS).is_file():
        return True
    left, found = LOOKED_AT, False
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if any(name.lower().endswith(SUFFIXES) for name in files):
            return False  # such as a table of predictions beside class folders
        found = found or any(name.lower().endswith(TABLES) for name in files)
        left -= 1 + len(files) + len(folders)
        if left < 0:
            break
        if len(Path(folder).relative_to(path).parts) >= DEEPEST:
            folders.clear()
    return found


def parts_of(path: Path) -> tuple[list[Part], list[str]]:
    """The files of a set in order, and what is to be said of those that are not read."""
    if path.is_file():
        return [_part(path, "")], []
    if (path / SAVED_SPLITS).is_file():
        names = [str(name) for name in _saved(path / SAVED_SPLITS, "splits")]
        files = [(file, split_of(name)) for name in names for file in _saved_files(path / name)]
        unknown = [name for name in names if not split_of(name)]
    elif (path / SAVED).is_file():
        files, unknown = [(file, "") for file in _saved_files(path)], []
    else:
        found = sorted(file for file in path.rglob("*") if _is_table(file, path))
        sets = sorted({_set_of(file, path) for file in found})
        if len(sets) > 1:
            raise DataError(
                f"{path} holds several sets of images: {listed((name or 'its own' for name in sets), most=8)}. Give "
                f"the folder of one, such as {path / sets[-1]}."
            )
        files, unknown = [(file, _split(file, path)) for file in found], []
    if not files:
        raise DataError(f"{path}: there is no Parquet or Arrow file in it.")
    told = {split for _, split in files if split}
    if told and "train" not in told:
        raise DataError(f"{path}: there are files of {listed(sorted(told))}, and none of train. Name one train….")
    left_out = [shown(file, path) for file, split in files if told and not split]
    notes = [f"Not read, as their names tell no split ({SPLITS_SAID}): {listed([*left_out, *unknown], most=5)}."]
    kept = [(file, split) for file, split in files if split or not told]
    order = {split: i for i, split in enumerate(("", *SPLITS))}
    kept.sort(key=lambda one: order[one[1]])  # stable
    return [_part(file, split) for file, split in kept], notes if left_out or unknown else []


def _is_table(file: Path, root: Path) -> bool:
    inside = file.relative_to(root).parts
    hidden = any(part.startswith(".") for part in inside)
    return file.suffix.lower() in TABLES and not hidden and len(inside) <= DEEPEST + 1 and file.is_file()


def _split(file: Path, root: Path) -> str:
    """The split that a file's name tells, as in train-00000-of-00002.parquet, or else the folder that it lies in."""
    folders = file.relative_to(root).parts[-2::-1]
    told = [next(filter(None, map(split_of, re.split(r"[^A-Za-z]+", file.stem))), "")]
    return next(filter(None, [*told, *map(split_of, folders)]), "")


def _set_of(file: Path, root: Path) -> str:
    """The folder of a set, below the one that is given: of several, each is a set of its own."""
    return "/".join(part for part in file.relative_to(root).parts[:-1] if not split_of(part))


def _saved(path: Path, key: str) -> list[Any]:
    """A list in a file of JSON that save_to_disk wrote."""
    try:
        value = json.loads(read_text(path, limit=_HEAD))[key]
        if isinstance(value, list):
            return value
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    raise DataError(f"{path}: not as datasets' save_to_disk writes it: it has no list {key!r}. Save the dataset again.")


def _saved_files(folder: Path) -> list[Path]:
    files = []
    for entry in _saved(folder / SAVED, "_data_files"):
        name = entry.get("filename") if isinstance(entry, dict) else None
        if not isinstance(name, str) or Path(name).name != name:
            raise DataError(f"{folder / SAVED}: it names no file in its folder: {brief(entry, 60)}.")
        files.append(folder / name)
    return files


def _part(path: Path, split: str) -> Part:
    with open_table(path) as (schema, rows, _):
        _read_names(schema)
        said = (schema.metadata or {}).get(b"huggingface", b"")
        try:
            if not said and (beside := path.parent / "dataset_info.json").is_file():
                said = f'{{"info": {read_text(beside, limit=_HEAD)}}}'
            features = json.loads(said)["info"]["features"] if said else {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            features = {}
        return Part(path, split, schema, rows, features if isinstance(features, dict) else {})


def _read_names(fields: Any) -> None:
    """Read the names of columns and of what is in them: one that is no text is a UnicodeDecodeError here."""
    pyarrow, _ = pyarrow_for(Path())
    for field in fields:
        _ = field.name
        if pyarrow.types.is_struct(field.type):
            _read_names(field.type)


@contextmanager
def open_table(path: Path) -> Iterator[tuple[Any, int, Callable[[list[str]], Iterator[Any]]]]:
    """The schema of a file, its rows, and what gives some of its columns, batch by batch. Raises DataError."""
    pyarrow, parquet = pyarrow_for(path)
    try:
        if path.suffix.lower() != ".arrow":
            with parquet.ParquetFile(path) as file:  # of which a group of rows is unpacked at a time
                groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
                must_fit(path, max((group.total_byte_size for group in groups), default=0))
                yield (
                    file.schema_arrow,
                    file.metadata.num_rows,
                    lambda columns: file.iter_batches(BATCH, columns=columns, use_threads=False),
                )
            return
        with pyarrow.memory_map(str(path)) as mapped:
            start = len(_FILE) if mapped.read(len(_FILE)) == _FILE else 0
            mapped.seek(start)
            must_fit(path, _unpacked(pyarrow, mapped))
            mapped.seek(start)
            stream = pyarrow.ipc.open_stream(mapped)
            batches = list(stream)  # views of the mapped file, where they are not compressed
            for batch in batches:
                batch.validate(full=True)  # what lies outside of its buffers is read unasked otherwise
            yield (
                stream.schema,
                sum(batch.num_rows for batch in batches),
                lambda columns: (
                    batch.select(columns).slice(at, BATCH)
                    for batch in batches
                    for at in range(0, batch.num_rows, BATCH)
                ),
            )
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError, struct.error, IndexError) as error:
        kind = "an Arrow file" if path.suffix.lower() == ".arrow" else "a Parquet file"
        why = brief(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise DataError(f"{path}: not {kind}, or it is truncated or damaged ({why}).") from None


def _unpacked(pyarrow: Any, stream: Any) -> int:
    """The bytes of all batches when unpacked."""
    messages = pyarrow.ipc.MessageReader.open_stream(stream)
    return sum(unpacked_bytes(message.metadata.to_pybytes(), message.body or b"") for message in messages)


def pyarrow_for(path: Path) -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DataError(
            f'{path} is read by pyarrow, which is not installed: pip install "firstlight[parquet]".'
        ) from None
    return pyarrow, parquet


def shown(file: Path, root: Path) -> str:
    """What a file of a set is called: its path below the one that was given."""
    return file.name if root.is_file() else printable_name(file.relative_to(root).as_posix())
