"""The lock of a folder, which one process at a time holds; the system releases it when that process ends.

Some file systems have no locks. There nothing is protected, and whoever asks for one is told.
"""

from __future__ import annotations

import errno
import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from firstlight.files import open_lock

LOCK = ".lock"
# What locking raises where a file system has no locks.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EIO)
ATTEMPTS = 6  # at a lock that another process holds: it may be `is_locked`, which holds it for an instant
PAUSE = 0.01  # seconds between two of them
LOOKS, GLANCE = 3, 0.002  # the same of `is_locked`


class LockedError(OSError):
    """Another process holds the lock."""


class NoLocksError(OSError):
    """The file system has no locks."""


@contextmanager
def locked(folder: Path, *, wait: bool = False, name: str = LOCK) -> Iterator[NoLocksError | None]:
    """Hold the lock of a folder; `wait` for the process that holds it, if any.

    name  of the lock's file: that of one file in the folder has another than the folder's own

    Gives what the file system says where it has no locks; the block is run all the same.
    Raises LockedError where another process holds it, another OSError where its file cannot be opened.
    """
    for attempt in range(1, ATTEMPTS + 1):
        last = attempt == ATTEMPTS
        with open_lock(folder / name, make=True) as file:
            missing = None
            try:
                taken = _lock(file, wait)
            except NoLocksError as error:
                taken, missing = True, error
            if taken and (last or _is_at(file, folder / name)):
                yield missing
                return
        if not taken:
            if last:
                raise LockedError(errno.EAGAIN, "another process holds the lock", str(folder / name))
            time.sleep(PAUSE)


def is_locked(folder: Path) -> bool:
    """Whether a process holds the lock of a folder.

    Where that cannot be seen (the lock is another user's, or the file system has none), no.
    """
    for look in range(LOOKS):
        if look:
            time.sleep(GLANCE)  # it may be another who looks
        try:
            with open_lock(folder / LOCK, make=False) as file:
                if _lock(file):
                    return False
        except OSError:
            return False
    return True


def has_locks(folder: Path) -> bool:
    """Whether the file system of a folder has locks."""
    try:
        with open_lock(folder / LOCK, make=True) as file:
            _lock(file)
    except NoLocksError:
        return False
    return True


def _lock(file: io.BufferedReader, wait: bool = False) -> bool:
    """Lock a file until it is closed; False where another process holds it. Raises NoLocksError."""
    from filelock import lock_descriptor  # which half of all commands do without

    try:
        return lock_descriptor(file.fileno(), blocking=wait, poll_interval=PAUSE)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise NoLocksError(error.errno, error.strerror) from None


def _is_at(file: io.BufferedReader, path: Path) -> bool:
    """Whether an open file is still the one at `path`, and not one that was removed meanwhile."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
