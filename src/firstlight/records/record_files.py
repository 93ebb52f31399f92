"""The files of a folder that is kept, read with what to say where one is missing, damaged or newer, and written."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from firstlight.errors import DamagedFileError, NewerFormatError, RunError
from firstlight.files import (
    RECORD_LIMIT,
    TOML_LIMIT,
    arrays_of,
    json_object,
    read_bytes,
    toml_of,
    write_bytes,
    write_json,
)
from firstlight.records.codec import MismatchError, decode, encode
from firstlight.records.experiment import ExperimentRecord
from firstlight.types import Array, Json

FORMAT = 1
T = TypeVar("T")


def read_json(folder: Path, name: str) -> Json:
    """One of a folder's JSON files as it stands. Raises RunError where it is missing, damaged, or of a newer format."""
    path = folder / name
    try:
        value = json_object(read_file(folder, name, RECORD_LIMIT))
    except ValueError as error:
        raise damaged(path, error) from None
    version = value.pop("format", None)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise DamagedFileError(f"{path} is damaged: it does not say its format.", path=path, key="format")
    if version > FORMAT:
        raise newer(path, version)
    return value


def read_record(folder: Path, name: str, kind: type[T]) -> T:
    """One of a folder's JSON files as a record of that kind. Raises RunError as `read_json`, or where it is none."""
    return record_of(kind, read_json(folder, name), folder / name)


def record_of(kind: type[T], value: Json, path: Path) -> T:
    """The record that was read from `path`. Raises DamagedFileError where it is none."""
    try:
        return decode(kind, value)
    except ValueError as error:
        raise damaged(path, error) from None


def read_toml(folder: Path, name: str) -> Json:
    """One of a folder's TOML files. Raises RunError where it is missing or damaged."""
    try:
        return toml_of(read_file(folder, name, TOML_LIMIT))
    except ValueError as error:
        raise damaged(folder / name, error) from None


def read_experiment(folder: Path, name: str) -> ExperimentRecord:
    """An experiment of a folder. Raises RunError where it is missing, damaged, or none."""
    tables = read_toml(folder, name)
    try:
        return ExperimentRecord.of(tables)
    except ValueError as error:
        raise damaged(folder / name, error) from None


def newer(path: Path, version: int) -> NewerFormatError:
    """What to raise where a file is of a later format."""
    return NewerFormatError(
        f"{path} has format {version}; this version of firstlight reads up to {FORMAT}. "
        "Update it: pip install --upgrade firstlight",
        path=path,
        version=version,
    )


def damaged(path: Path, error: ValueError) -> DamagedFileError:
    """What to raise where reading a file failed so."""
    key = error.place if isinstance(error, MismatchError) else ""
    return DamagedFileError(f"{path} is damaged: {error}.", path=path, key=key)


def read_file(folder: Path, name: str, limit: int) -> bytes:
    try:
        return read_bytes(folder / name, limit=limit, inside=folder)
    except FileNotFoundError:
        raise RunError(f"{folder} has no {name}: the run did not get that far, or the file was removed.") from None
    except OSError as error:
        raise RunError(f"{folder / name} cannot be read: {error.strerror}.") from None


def write_record(folder: Path, name: str, record: Any) -> None:
    """Write one of a folder's JSON files, with the format's version; `record` is a dataclass."""
    write_json(folder / name, {"format": FORMAT, **encode(record)})


def write_archive(path: Path, record: Any, **about: str) -> None:
    """Write a record with arrays, a dataclass, as an .npz: the arrays, and as `record` the JSON that names them.

    about  keys of the JSON that are none of the record's
    """
    arrays: dict[str, Array] = {}
    text = json.dumps({"format": FORMAT, **about, **encode(record, arrays)}, allow_nan=False).encode()
    write_arrays(path, {"record": np.frombuffer(text, np.uint8), **arrays})


def unarchived(data: bytes, path: Path) -> tuple[Json, dict[str, Array]]:
    """The JSON of such a record, without its format, and its arrays, to be decoded; `path` is where it was read.

    Raises ValueError where it is none, NewerFormatError where it is of a later format.
    """
    arrays = arrays_of(data)
    if "record" not in arrays:
        raise ValueError("it has no record")
    record = json_object(arrays.pop("record").tobytes())
    version = record.pop("format", None)
    if not isinstance(version, int) or isinstance(version, bool):
        raise ValueError("it does not say its format")
    if version > FORMAT:
        raise newer(path, version)
    return record, arrays


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())
