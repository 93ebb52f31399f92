"""Checkpoints: what it takes to continue with a run as if it had never stopped. The newest two sound ones are kept.

Each is a folder with the arrays, the progress, and a manifest of hashes that is written last: a folder without a
manifest, or with a file that does not match it, is passed over.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from firstlight.errors import FirstlightError
from firstlight.files import (
    MB,
    RECORD_LIMIT,
    WEIGHTS_LIMIT,
    is_file,
    json_object,
    read_bytes,
    sha256,
    write_bytes,
    write_json,
)
from firstlight.records.codec import Must, decode, encode
from firstlight.records.values import Count, Table
from firstlight.types import Array, Json
from firstlight.weights import from_bytes, to_bytes

KEPT = 2
ARRAYS_LIMIT = 4 * WEIGHTS_LIMIT  # the weights, the best of them, and what an optimizer knows of each
NEEDED = {"epoch", "loss"}  # of a row of the history; a run asks for all of its columns
ARRAYS, PROGRESS, MANIFEST = "arrays.safetensors", "progress.json", "manifest.json"


Row = Annotated[dict[str, float], Must("a row with its epoch and loss", lambda row: row.keys() >= NEEDED)]


@dataclass(frozen=True)
class Progress:
    """How far training has come, in plain values.

    history  one row per epoch
    best     the epoch (from 1) of the best weights so far, 0 for none
    waited   epochs since then
    seconds  spent in training
    costs    (steps done, mean loss since the one before), where costs within the epochs were asked for
    asked    the experiment's tables
    """

    history: tuple[Row, ...]
    best: Count
    waited: Count
    seconds: float
    costs: tuple[tuple[int, float], ...] = ()
    asked: Table = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.best > len(self.history):
            raise ValueError("its epochs are not those of its history")

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The weights now, the best weights by validation, the optimizer's arrays, and the progress."""

    vector: Array
    best: Array
    optimizer: dict[str, Array]
    progress: Progress


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint below `folder`, and remove all but the newest two.

    The folder that `folder` lies in is never made: it may have been deleted or moved meanwhile.
    """
    folder.mkdir(exist_ok=True)
    target = folder / f"epoch-{checkpoint.progress.epoch:05d}"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    arrays = {"vector": checkpoint.vector, "best": checkpoint.best}
    arrays |= {f"optimizer.{name}": array for name, array in checkpoint.optimizer.items()}
    write_bytes(target / ARRAYS, to_bytes(arrays))
    write_json(target / PROGRESS, encode(checkpoint.progress))
    write_json(target / MANIFEST, {name: sha256(target / name) for name in (ARRAYS, PROGRESS)})
    for old in _by_epoch(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def newest(folder: Path) -> tuple[Checkpoint | None, list[Path]]:
    """The newest sound checkpoint below `folder`, or None, and the damaged ones that were passed over."""
    damaged: list[Path] = []
    for candidate in reversed(_by_epoch(folder)):
        if not is_file(candidate / MANIFEST):
            continue  # cut off while it was written
        checkpoint = _read(candidate)
        if checkpoint is not None:
            return checkpoint, damaged
        damaged.append(candidate)
    return None, damaged


def _by_epoch(folder: Path) -> list[Path]:
    """The checkpoints below `folder`, whole or not, in the order of their epochs."""
    found = [path for path in folder.glob("epoch-*") if path.name.removeprefix("epoch-").isdecimal()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("epoch-")))


def _read(folder: Path) -> Checkpoint | None:
    try:
        manifest = json_object(read_bytes(folder / MANIFEST, limit=MB, inside=folder))
        arrays = from_bytes(_as_written(folder, ARRAYS, ARRAYS_LIMIT, manifest), str(folder / ARRAYS))
        progress = decode(Progress, json_object(_as_written(folder, PROGRESS, RECORD_LIMIT, manifest)), closed=True)
        vector, best = arrays.pop("vector"), arrays.pop("best")
    except (OSError, ValueError, KeyError, FirstlightError):
        return None
    optimizer = {name.removeprefix("optimizer."): array for name, array in arrays.items()}
    sound = all(array.dtype == vector.dtype and array.shape == vector.shape for array in (vector, best))
    if not sound or vector.dtype.kind != "f" or vector.ndim != 1:
        return None
    return Checkpoint(vector, best, optimizer, progress)


def _as_written(folder: Path, name: str, limit: int, manifest: Json) -> bytes:
    """The bytes of one of its files. Raises ValueError where they are not those that the manifest has the hash of."""
    data = read_bytes(folder / name, limit=limit, inside=folder)
    if hashlib.sha256(data).hexdigest() != manifest.get(name):
        raise ValueError(f"it has another hash than {MANIFEST} says")
    return data
