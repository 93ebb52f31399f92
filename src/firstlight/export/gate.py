"""The gate: an export is run on all test images by its own runtime before it is written, and must agree.

Every class is the engine's and every probability within `TOLERANCE` of it, or nothing is written. Where the model tells
how strange an image is, that agrees within `STRANGENESS_TOLERANCE`, and so does what is of none of the classes.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from firstlight.cautions import Caution
from firstlight.components import Component, Components
from firstlight.errors import ExportError, NoRuntimeError, ReportWarning
from firstlight.export.exportable import Expected, Exportable
from firstlight.files import remove_leftovers, writing
from firstlight.progress import Step, unwatched
from firstlight.records import exports
from firstlight.records.exports import ExportFolder, ExportRecord
from firstlight.records.run_folder import require_other
from firstlight.types import Array, is_text

TOLERANCE = 1e-4
STRANGENESS_TOLERANCE = 1e-3  # of the larger of it and 1: a difference of long vectors, by features that are rounded
SAMPLES = 10  # test images that an export may carry to check itself

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Findings:
    """What running an export showed; the fields are those of `ExportRecord`."""

    largest_difference: float | None = None
    accuracy: float | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Format(Component, ABC):
    """The base of all formats. A subclass is a frozen dataclass whose fields are its options.

    name    what the command line calls it; `title` as it is written, and `about` in half a sentence
    suffix  of its one file; "" where it writes a folder of several
    """

    name: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[str]
    suffix: ClassVar[str] = ""

    @abstractmethod
    def write(self, model: Exportable, claim: str) -> Files:
        """The files by name, one where there is a suffix. `claim`, a sentence on what was verified, is kept inside.

        Raises ExportError where the format cannot hold the model.
        """

    @abstractmethod
    def runtime(self) -> str:
        """What runs the export, with its version. Raises NoRuntimeError where it is not at hand."""

    @abstractmethod
    def run(self, model: Exportable, folder: Path, pixels: Array) -> Array:
        """What the files in `folder` give for prepared images uint8 (N, H, W, C), float32: see `Expected.answers`."""

    def tells_strangeness(self, model: Exportable) -> bool:
        """Whether the export says how strange an image is."""
        return model.tells_strangeness

    def verify(self, model: Exportable, expected: Expected, runtime: str) -> tuple[Files, Findings]:
        """The files that were run on the test images and agree. Raises ExportError where they do not."""
        if not self.tells_strangeness(model):
            expected = replace(expected, strangeness=None)
        files = self.write(model, claim(runtime, expected))
        found = self.answers(model, files, expected.images.pixels)
        return files, Findings(largest_difference=largest_difference(self.title, expected, found))

    def answers(self, model: Exportable, files: Files, pixels: Array) -> Array:
        """`run`, on files that are nowhere yet."""
        with tempfile.TemporaryDirectory(prefix="firstlight-export-") as folder:
            for name, data in files.items():
                (Path(folder) / name).write_bytes(data)
            return self.run(model, Path(folder), pixels)

    def file_name(self, run: str) -> str:
        """What its file is called in the folder of a run, where it is one file."""
        return f"{run}{self.suffix}"

    @property
    def options(self) -> dict[str, Any]:
        """Those that differ from what is usual."""
        return {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) != one.default}


FORMATS = Components("export format", base=Format, place="{name}")  # type: ignore[type-abstract]


def claim(runtime: str, expected: Expected) -> str:
    """What is kept inside an export that passes."""
    n = len(expected.images)
    strangeness = "" if expected.strangeness is None else f"; so is the strangeness, within {STRANGENESS_TOLERANCE:g}"
    return (
        f"Verified: {runtime} ran this on all {n:,} test images of the run. Every class is the one that firstlight "
        f"gives, and every probability is within {TOLERANCE:g} of it{strangeness}."
    )


def unverified(why: str) -> str:
    """What is kept inside an export that could not be run."""
    return f"Not verified: {why}"


def largest_difference(title: str, expected: Expected, found: Array) -> float:
    """That of any probability. Raises ExportError where a class differs, or a probability by more than `TOLERANCE`."""
    wanted, answers = expected.probabilities, expected.answers
    if found.shape != answers.shape:
        raise ExportError(f"The {title} export gives {found.shape} numbers instead of {answers.shape}.")
    strangeness = found[:, -1] if expected.strangeness is not None else None
    found = found[:, : wanted.shape[1]]
    apart = np.abs(found.astype(np.float64) - wanted).max(axis=1)
    apart[~np.isfinite(apart)] = np.inf
    classes = found.argmax(axis=1) != wanted.argmax(axis=1)
    wrong = classes | (apart > TOLERANCE)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise ExportError(
            f"The {title} export does not agree with the model, so nothing was written: of {len(wrong):,} test "
            f"images {int(wrong.sum()):,} differ, {int(classes.sum()):,} of them in their class; probabilities differ "
            f"by up to {apart.max():.2g}, and {TOLERANCE:g} is allowed. The first is {expected.images.ids[first]}, by "
            f"{apart[first]:.2g}."
        )
    if strangeness is not None:
        _must_be_as_strange(title, expected, strangeness)
    return float(apart.max(initial=0.0))


def _must_be_as_strange(title: str, expected: Expected, found: Array) -> None:
    """Raise ExportError where it differs by more than `STRANGENESS_TOLERANCE`, be it above or below 1."""
    assert expected.strangeness is not None
    wanted = expected.strangeness.astype(np.float64)
    apart = np.abs(found - wanted) / np.maximum(1, wanted)
    apart[~np.isfinite(apart)] = np.inf
    if (wrong := apart > STRANGENESS_TOLERANCE).any():
        first = int(np.flatnonzero(wrong)[0])
        raise ExportError(
            f"The {title} export does not agree with the model, so nothing was written: of {len(wrong):,} test images "
            f"{int(wrong.sum()):,} differ in strangeness, by up to {apart.max():.2g} of it, and "
            f"{STRANGENESS_TOLERANCE:g} is allowed. The first is {expected.images.ids[first]}, by {apart[first]:.2g}."
        )


def export(
    folder: ExportFolder,
    model: Exportable,
    form: Format,
    out: Path | None,
    expected: Expected | str,
    step: Step = unwatched,
) -> ExportRecord:
    """Verify and write an export of a run, or of a group of runs, record it in that folder, and return the record.

    out       the file, or the folder for a format of several; in the run's folder otherwise
    expected  what the engine says of the test images, or why they are not there, in a sentence
    step      is told of the verification, which may take minutes
    Raises ExportError where it does not agree with the engine, or where `out` is in use for something else. Where the
    run's folder cannot be written, the export is kept all the same, and a ReportWarning says that it is not recorded.
    """
    path = _place(folder, form, model.name, out)
    verification: dict[str, Any]
    if isinstance(expected, Expected):
        model = replace(model, samples=expected.samples(SAMPLES))
    try:
        if isinstance(expected, str):
            raise NoRuntimeError(expected)
        runtime = form.runtime()
    except NoRuntimeError as error:
        step(f"{form.title}, not verified", 0, None)
        why = str(error)
        files, findings, verification = form.write(model, unverified(why)), Findings(), {"not_verified": why}
    else:
        step(f"{runtime} on {len(expected.images):,} test images", 0, None)
        files, findings = form.verify(model, expected, runtime)
        verification = {"runtime": runtime, "images": len(expected.images)}
    record = ExportRecord(
        format=form.name,
        title=form.title,
        path=exports.place(folder, path),
        sha256={name: sha256(data).hexdigest() for name, data in files.items()},
        bytes=sum(map(len, files.values())),
        weights=folder.weights,
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        firstlight=version("firstlight"),
        options=form.options,
        **verification,
        **vars(findings),
    )
    home = path.parent if form.suffix else path
    home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as written:
        for name, data in files.items():
            file = written.enter_context(writing(path if form.suffix else home / name))
            file.write(data)
            file.flush()  # a full disk is met here, before anything is recorded
        # Recorded before the files have their names: a folder that a killed process leaves is known as an export's.
        try:
            exports.add(folder, record)
        except OSError as error:
            warnings.warn(
                Caution.EXPORT_NOT_RECORDED.text(
                    f"{path} was written, but not recorded, as {folder.path} cannot be written: "
                    f"{error.strerror or error}."
                ),
                ReportWarning,
                stacklevel=2,
            )
    return record


def _place(folder: ExportFolder, form: Format, name: str, out: Path | None) -> Path:
    """Where the export goes: a file, or a folder that is new, empty, or of an earlier export. Raises ExportError."""
    usual = form.file_name(name) if form.suffix else form.name
    path = folder.path / exports.FOLDER / usual if out is None else out
    known = {one.path for one in exports.recorded(folder)}  # a record that is damaged is told before anything is done
    if form.suffix and path.is_dir():
        path /= usual
    require_other(path)
    if not is_text(exports.place(folder, path)):
        name = os.fsencode(path).decode(errors="backslashreplace")
        raise ExportError(f"{name}: the name is not in UTF-8, which the record of exports cannot hold. Name another.")
    home = next(one for one in path.parents if one.exists())
    if not home.is_dir():
        raise ExportError(f"{path} cannot be written, since {home} is not a folder. Name another place.")
    if form.suffix:
        return path
    if path.exists() and not path.is_dir():
        raise ExportError(
            f"{path} is a file; the {form.title} export is a folder of several files. Name another place."
        )
    remove_leftovers(path)  # of a process that was killed before any file had its name
    if path.is_dir() and exports.place(folder, path) not in known and any(path.iterdir()):
        raise ExportError(f"{path} holds other files. Name a new folder for the {form.title} export, or an empty one.")
    return path
