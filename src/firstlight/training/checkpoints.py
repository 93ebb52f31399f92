"""Checkpoints: what it takes to go on with a run as if it had never stopped. The newest two sound ones are kept.

Each is a folder with the arrays, the progress, and a manifest of hashes that is written last: a folder without a
manifest, or with a file that does not match it, is passed over.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from firstlight.errors import FirstlightError
from firstlight.files import sha256, write_bytes, write_json
from firstlight.types import Array, Json
from firstlight.weights import from_bytes, to_bytes

KEPT = 2
ARRAYS, PROGRESS, MANIFEST = "arrays.safetensors", "progress.json", "manifest.json"


@dataclass(frozen=True)
class Progress:
    """How far training has come, in plain values.

    history  one row an epoch
    best     the epoch (from 1) of the best weights so far, 0 for none
    waited   epochs since then
    seconds  spent in training
    costs    (steps done, mean loss since the one before), where costs within the epochs were asked for
    asked    the experiment's tables
    """

    history: list[dict[str, float]]
    best: int
    waited: int
    seconds: float
    costs: list[tuple[int, float]] = field(default_factory=list)
    asked: Json = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The weights now, the best weights by validation, the optimiser's arrays, and the progress."""

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
    write_json(target / PROGRESS, asdict(checkpoint.progress))
    write_json(target / MANIFEST, {name: sha256(target / name) for name in (ARRAYS, PROGRESS)})
    for old in _by_epoch(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def newest(folder: Path) -> tuple[Checkpoint | None, list[Path]]:
    """The newest sound checkpoint below `folder`, or None, and the damaged ones that were passed over."""
    damaged: list[Path] = []
    for candidate in reversed(_by_epoch(folder)):
        if not (candidate / MANIFEST).exists():
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
        manifest: Json = json.loads((folder / MANIFEST).read_text())
        if any(sha256(folder / name) != manifest[name] for name in (ARRAYS, PROGRESS)):
            return None
        arrays = from_bytes((folder / ARRAYS).read_bytes(), str(folder / ARRAYS))
        progress = Progress(**json.loads((folder / PROGRESS).read_text()))
    except (OSError, ValueError, KeyError, TypeError, FirstlightError):
        return None
    optimizer = {
        name.removeprefix("optimizer."): array for name, array in arrays.items() if name.startswith("optimizer.")
    }
    return Checkpoint(arrays["vector"], arrays["best"], optimizer, progress)
