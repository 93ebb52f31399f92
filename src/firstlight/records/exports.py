"""exports.json: the files that the model of a run, or of several, was exported to, and what was verified of each."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from firstlight.cautions import Caution
from firstlight.files import is_folder, is_there, resolved, sha256
from firstlight.locks import locked
from firstlight.records.codec import omitted
from firstlight.records.record_files import read_record, write_record
from firstlight.records.values import Count, Positive, Share, Table

State = Literal["", "changed", "missing"]

EXPORTS = "exports.json"
FOLDER = "export"  # of the run, where no other place is named


class ExportFolder(Protocol):
    """The folder of a run or of a group; `weights` is a SHA-256 of what is exported, "" where it is not known."""

    @property
    def path(self) -> Path: ...

    @property
    def weights(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class ExportRecord:
    """One export.

    format, title       such as "onnx" and "ONNX"
    path                of the file or folder: below the run folder where it lies there, absolute elsewhere
    sha256              of its files, by name, and `bytes` of all of them
    weights             the SHA-256 of the run's weights as it was written
    written             when, in ISO 8601, and by which version of `firstlight`
    options             of the format that differ from what is usual
    runtime             what ran it on the test images, with its version; "" where it was not verified
    images              how many test images it was run on
    largest_difference  between its probabilities and the engine's
    accuracy            its own, where it does not give the engine's classes (quantized weights)
    not_verified        why it was not verified, in a sentence
    facts               what else is worth knowing: "memory" -> "12,345 bytes"
    """

    format: str
    title: str
    path: str
    sha256: Mapping[str, str]
    bytes: Count
    weights: str = omitted("")
    written: str
    firstlight: str
    options: Table = omitted(make=dict)
    runtime: str = omitted("")
    images: Count = omitted(0)
    largest_difference: Positive | None = omitted(None)
    accuracy: Share | None = omitted(None)
    not_verified: str = omitted("", key="not_proved")  # as earlier versions called it
    facts: Mapping[str, str] = omitted(make=dict)

    @property
    def verified(self) -> bool:
        return bool(self.runtime) and not self.not_verified

    @property
    def proved(self) -> bool:
        """Deprecated: the older name of `verified`."""
        warnings.warn(Caution.RENAMED.text("proved is now called verified."), DeprecationWarning, stacklevel=2)
        return self.verified


@dataclass(frozen=True, kw_only=True)
class Exports:
    exports: tuple[ExportRecord, ...] = ()


def read(run: ExportFolder) -> tuple[ExportRecord, ...]:
    """The exports of the run as it is now, in the order in which they were written; without those of other weights.

    Raises RunError where the record is damaged or too new.
    """
    now = run.weights
    return tuple(one for one in recorded(run) if one.weights == now)


def recorded(run: ExportFolder) -> tuple[ExportRecord, ...]:
    """As `read`, with those of other weights."""
    return read_record(run.path, EXPORTS, Exports).exports if is_there(run.path / EXPORTS) else ()


def add(run: ExportFolder, export: ExportRecord) -> None:
    """Record an export, in the place of one at the same path. Raises OSError where the folder cannot be written."""
    with locked(run.path, wait=True):  # another process may be adding its own
        others = [one for one in read(run) if one.path != export.path]
        write_record(run.path, EXPORTS, Exports(exports=(*others, export)))


def state(run: ExportFolder, export: ExportRecord) -> State:
    """What became of the files since they were written: nothing, or they are "changed" or "missing"."""
    path = run.path / export.path  # which is absolute where the files lie elsewhere
    for name, recorded in export.sha256.items():
        file = path / name if is_folder(path) else path
        try:
            if sha256(file) != recorded:
                return "changed"
        except OSError:
            return "missing"
    return ""


def place(run: ExportFolder, path: Path) -> str:
    """A path as the record has it."""
    whole, home = resolved(path), resolved(run.path)
    return whole.relative_to(home).as_posix() if whole.is_relative_to(home) else str(whole)
