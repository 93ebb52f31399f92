"""What was decided of labels: the file of corrections, read and changed by one at a time.

Two pages, two servers and an editor may have the file at once. So whoever decides says what they believe to be decided
of that image, and are refused where that is no longer so; every change is made on the file as it is at that moment,
under a lock, and put in its place in one step.
"""

from __future__ import annotations

import getpass
import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from firstlight.app.index import Kept
from firstlight.data.corrections import Correction, read_corrections, write_corrections
from firstlight.errors import DataError, RunError
from firstlight.locks import LockedError, locked
from firstlight.records.run_folder import EXPERIMENT, MODEL, RunFolder
from firstlight.text import one_line
from firstlight.types import Json

PATIENCE = 2.0  # seconds for another who writes
LONGEST_NAME = 100  # characters of who decides
_PARSED: Kept[dict[str, Correction]] = Kept(4)  # by the path of their file


class ChangedError(RunError):
    """Another has decided of the image meanwhile; `now` is what is decided of it."""

    def __init__(self, text: str, now: Correction | None) -> None:
        super().__init__(text)
        self.now = now


@dataclass(frozen=True)
class Decisions:
    """The corrections of a set of images.

    path     their file, which need not be there yet
    trouble  why nothing can be decided, if so
    """

    path: Path
    trouble: str = ""

    def read(self) -> dict[str, Correction]:
        """What is decided, by the id of the image. Raises DataError where the file is damaged."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror or error}.") from None
        mark = (found.st_ino, found.st_size, found.st_mtime_ns)
        return dict(_PARSED.get(str(self.path), mark, self._read_anew))

    def _read_anew(self) -> dict[str, Correction]:
        return {one.id: one for one in read_corrections(self.path)} if self.path.exists() else {}

    def put(self, sample: str, row: Correction | None, seen: Json | None) -> Correction | None:
        """Decide of an image: `row`, or nothing where it is None; what was decided before.

        seen  what the one who decides believes to be decided of it, as `told` says it

        Raises ChangedError where that is not so, DataError where the file is damaged, RunError where it cannot be
        written.
        """
        if self.trouble:
            raise RunError(self.trouble)
        try:
            with self._locked():
                rows = self._read_anew()
                before = rows.pop(sample, None)
                if told(before) != seen:
                    raise ChangedError(_changed(sample, before), before)
                if row is not None:
                    rows[sample] = row
                write_corrections(self.path, rows.values())
                return before
        except OSError as error:
            raise RunError(
                f"{self.path} cannot be written: {error.strerror or error}. The decision is not saved, and the file is "
                "unchanged. Free some space, change the permissions, or name another file: firstlight view "
                "--corrections FILE"
            ) from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                with locked(self.path.parent, name=f".{self.path.name}.lock"):
                    yield
                return
            except LockedError:
                if time.monotonic() > until:
                    raise RunError(
                        f"{self.path} is being written by another program. The decision is not saved: try again."
                    ) from None


def told(row: Correction | None) -> Json | None:
    """What is decided of an image as the page is told it, and tells it again."""
    return None if row is None else asdict(row)


def now() -> str:
    """This second, in ISO 8601 and UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def user() -> str:
    """Who runs the server; "" where the system does not say."""
    with suppress(OSError, KeyError, ImportError):
        return one_line(getpass.getuser())[:LONGEST_NAME]
    return ""


def place(folder: RunFolder, root: Path, given: Path | None) -> Decisions:
    """Where what is decided of the images of a run goes.

    That is the file that the user has `given`; else the one that the run itself was made with, where that is one;
    else a file of these images among the runs, whichever run they are reviewed in. A run folder may be anybody's: it
    cannot name a place where a file would be made.
    """
    path = given or _of_run(folder) or root / f"corrections-{_stem(folder)}.csv"
    inside = _inside(path, folder)
    if inside:
        text = f"{path} lies in {inside}, to which nothing is written. Name another file: firstlight view --corrections"
        return Decisions(path, f"{text} FILE")
    return Decisions(path)


def _of_run(folder: RunFolder) -> Path | None:
    """The file of corrections that a run was made with, where it is still one."""
    record = folder.data.corrections
    if record is None:
        return None
    path = Path(record.location)
    try:
        read_corrections(path)
    except (DataError, OSError):
        return None
    return path


def _stem(folder: RunFolder) -> str:
    """What the file of a set of images is called after: other images have another file."""
    record = folder.data
    source = record.location or record.source
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(source).stem).strip("-")[:60] or "images"
    return f"{plain}-{hashlib.sha256(source.encode(errors='replace')).hexdigest()[:6]}" if record.location else plain


def _inside(path: Path, folder: RunFolder) -> str:
    """What a path lies in that is not to be written in: the user's images, or the folder of a run; "" for neither."""
    parents = path.resolve().parents
    location = Path(folder.data.location) if folder.data.location else None
    if location is not None and location.is_dir() and location.resolve() in parents:
        return f"the folder of the images, {location}"
    run = next((parent for parent in parents if (parent / EXPERIMENT).is_file()), None)
    return "" if run is None or not (run / MODEL).is_file() else f"the folder of a run, {run}"


def _changed(sample: str, row: Correction | None) -> str:
    if row is None:
        return f"The decision about {sample} was undone meanwhile, in another tab or by someone else."
    who = row.by or "someone else"
    what = "dropped it" if not row.new else f"kept {row.new}" if row.new == row.old else f"changed it to {row.new}"
    return (
        f"{who} has decided about {sample} meanwhile ({row.at or 'no time given'}): {what}. That is kept. To replace "
        "it, decide again."
    )
