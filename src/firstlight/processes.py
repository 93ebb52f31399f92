"""Which of several processes this one is, where torchrun started them to train one model together; and its workers.

Outside torchrun there is one process, and it leads.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from firstlight.errors import RunError

KILLED = 6  # so often workers may be killed in a row
SAFE_PATH = "PYTHONSAFEPATH"  # what Python reads as it begins


def rank() -> int:
    """The number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Its number among those on this machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def world_size() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_world_size() -> int:
    """How many of them are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_main() -> bool:
    """Whether this process is the one that reports and writes."""
    return rank() == 0


@contextmanager
def safe_imports() -> Iterator[None]:
    """Processes of Python that begin meanwhile import nothing from the working folder, which may be anybody's."""
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = before


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Ctrl-C is left to this process: those that it starts meanwhile ignore it, but for what handles it by itself.

    A terminal sends it to all of them, and one that is just starting, or between two trainings, would die of it with a
    traceback. It is this process that ends them. For the moment that starting them takes, it ignores Ctrl-C itself.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def raise_if_killed_often(killed: int, what: str) -> None:
    """Raise RunError where workers were killed too often in turn, and no `what` came to an end in between."""
    if killed > KILLED:
        raise RunError(
            f"Workers were killed {killed} times in a row before any {what} was finished, perhaps by the system "
            "because they ran out of memory. Use fewer --workers; the same command then continues."
        ) from None
