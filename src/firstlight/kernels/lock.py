"""What threads and forked processes have to know of each other: one lock for all that computes, and who was forked.

The kernels use every core by themselves, so nothing is lost where threads take turns; and they must: what a session
writes and reads lies in memory that its calls share, and of the threads that Numba can have, those called "workqueue"
end the process where two callers come at once.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Held by whoever runs a graph, enters a kernel that is shared out to threads, or reads and writes what a session keeps.
# It is the only one of its kind, and a session calls no code that we do not know (a `progress`, say) while it is held,
# so that no two threads wait for each other.
LOCK = threading.RLock()

_held: list[Any] = []  # by a fork
_lost: set[str] = set()


def in_turn(function: Callable[P, T]) -> Callable[P, T]:
    """The same, done while `LOCK` is held."""

    @wraps(function)
    def held(*args: P.args, **kwargs: P.kwargs) -> T:
        with LOCK:
            return function(*args, **kwargs)

    return held


def lost(library: str) -> bool:
    """Whether the threads of a library, "numba" or "torch", may have been left behind where this process was forked.

    A fork takes one thread along. GNU's OpenMP, on which both libraries build, does not start the others again: Numba
    then ends the process, and PyTorch waits for ever. Whoever asks does without them.
    """
    return library in _lost


class ForkedLock:
    """A lock that the same thread may take again, and that is free in a forked process whoever held it before.

    For what is made once and may take long: a fork does not wait for it, so the child makes it for itself.
    """

    def __init__(self) -> None:
        self._lock, self._process = threading.RLock(), os.getpid()

    def __enter__(self) -> None:
        process = os.getpid()
        if self._process != process:
            if self._lock.acquire(blocking=False):  # free, or held by the very thread that was forked
                self._process = process
                return
            self._lock, self._process = threading.RLock(), process
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _before_fork() -> None:
    """Wait until nobody computes or compiles: what the child finds is whole, and no lock is held by a thread gone."""
    compiling = sys.modules.get("numba.core.compiler_lock")
    locks = [LOCK, *([compiling.global_compiler_lock] if compiling else [])]  # in the order in which kernels take them
    for lock in locks:
        lock.acquire()
    _held.append(locks)


def _after_fork() -> None:
    for lock in reversed(_held.pop()):
        lock.release()


def _in_child() -> None:
    _after_fork()
    if "torch" in sys.modules:
        _lost.add("torch")
    if "numba" in sys.modules and _started():
        _lost.add("numba")


def _started() -> bool:
    """Whether anybody has used Numba's threads."""
    import numba.np.ufunc.parallel as threads

    try:
        threads.threading_layer()  # type: ignore[no-untyped-call]
    except (AttributeError, ValueError):  # half imported, or not yet
        return False
    return True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
