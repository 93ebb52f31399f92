"""A folder while a process trains in it: the lock, the wish to stop, and how far the epoch under way is."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from firstlight.cautions import Caution
from firstlight.errors import FolderGoneError, RunError
from firstlight.files import TEMPORARY, json_object, read_bytes, remove_leftovers, write_bytes, write_text
from firstlight.locks import LOCK, LockedError, is_locked, locked
from firstlight.records.codec import decode, encode

STOP = ".stop"
PROGRESS = ".progress"
PROGRESS_LIMIT = 1_000  # bytes
WHILE_TRAINING = (STOP, PROGRESS)  # what there is only while a process trains


@dataclass(frozen=True)
class LockedFolder:
    """A folder that this process holds for writing, and what told it from others as it was taken."""

    folder: Path
    identity: os.stat_result

    def check(self) -> None:
        """Raise FolderGoneError where the folder is not there any more, or is another one."""
        try:
            there = os.path.samestat(self.folder.stat(), self.identity)
        except (FileNotFoundError, NotADirectoryError):
            there = False
        if not there:
            raise FolderGoneError(
                f"{self.folder} is gone: it was deleted, moved or replaced while the run trained. If it was moved, go "
                "on with it there: firstlight resume NEW_PLACE"
            )


@contextmanager
def locked_folder(run: Path, note: Callable[[str], None] = lambda text: None) -> Iterator[LockedFolder]:
    """Hold a folder for writing. Raises RunError where another process holds it, OSError where it cannot be written.

    What killed processes have left is removed. Where the file system has no locks, `note` is told.
    """
    with ExitStack() as stack:
        try:
            missing = stack.enter_context(locked(run))
        except LockedError:
            raise RunError(f"{run} is being trained by another process: wait for it, or stop it.") from None
        if missing is not None:
            note(
                Caution.NO_LOCKS.note(
                    f"the file system of {run} has no locks ({missing.strerror}). Nothing prevents two processes from "
                    "training it at once, and the dashboard cannot see that it is being trained."
                )
            )
        for name in WHILE_TRAINING:  # meant for, or left by, another process, which was killed
            (run / name).unlink(missing_ok=True)
        remove_leftovers(run)
        yield LockedFolder(run, run.stat())


def is_free(run: Path) -> bool:
    """Whether nothing is there, or no more than a process leaves that was killed as it began."""
    try:
        names = [path.name for path in run.iterdir()] if run.exists() else []
    except OSError:
        return False
    return all(name in (LOCK, *WHILE_TRAINING) or TEMPORARY.fullmatch(name) for name in names)


def ask_to_stop(run: Path) -> None:
    """Ask the process that trains the run to stop, as Ctrl-C would: it keeps and measures what was learnt.

    Raises RunError where nothing trains.
    """
    if not is_locked(run):
        raise RunError(f"{run} is not being trained: there is nothing to stop.")
    write_text(run / STOP, "")


def asked_to_stop(run: Path) -> bool:
    """Whether somebody has asked the process that trains the run to stop, and it has not stopped yet."""
    return (run / STOP).exists()


@dataclass(frozen=True)
class EpochProgress:
    """How far the epoch under way is: `images` of its `of` are done, at a mean loss of `loss`."""

    epoch: int
    images: int
    of: int
    loss: float | None


def write_progress(run: Path, epoch: int, images: int, of: int, loss: float | None) -> None:
    """Write .progress for those who watch. A failure counts for nothing: no training ends because nobody can watch."""
    progress = EpochProgress(epoch, images, of, loss if loss and math.isfinite(loss) else None)
    with suppress(OSError):
        write_bytes(run / PROGRESS, json.dumps(encode(progress)).encode(), lasting=False)


def progress(run: Path) -> EpochProgress | None:
    """How far the epoch under way is; None where that is not known."""
    try:
        return decode(EpochProgress, json_object(read_bytes(run / PROGRESS, limit=PROGRESS_LIMIT, inside=run)))
    except (OSError, ValueError):
        return None
