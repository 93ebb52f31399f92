"""What every program shares: a clock, a seed, a folder of its own, and the count of what survived."""

from __future__ import annotations

import random
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from firstlight.errors import FirstlightError

T = TypeVar("T")

LONGEST_READ = 30  # seconds for one input
MOST_MEMORY = 2 << 30  # bytes that one input may add to the process


class TimeLimitError(BaseException):
    """An input took longer than LONGEST_READ. No Exception, so that nothing that reads swallows it."""


@dataclass(frozen=True)
class Fault:
    """A trial that did not survive: its kind, the first input of that kind, and how many there were."""

    kind: str
    first: str
    count: int


@dataclass
class Attack:
    """The course of one program.

    seconds  how long it may continue; `over` says when that is past. What was begun is finished
    seed     all of its randomness
    work     an empty folder that is its own
    kept     where finished runs, studies and searches lie that several programs start from; `work` unless given
    """

    seed: int
    seconds: float
    work: Path
    kept: Path | None = None
    tried: int = 0
    notes: list[str] = field(default_factory=list)
    _faults: dict[str, list[str]] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def over(self) -> bool:
        """Whether its time is past. The first trial is made all the same."""
        return self.tried > 0 and time.monotonic() - self._began > self.seconds

    @property
    def survived(self) -> int:
        return self.tried - sum(len(labels) for labels in self._faults.values())

    @property
    def faults(self) -> list[Fault]:
        """The kinds of what did not survive, the most frequent first."""
        kinds = sorted(self._faults.items(), key=lambda item: -len(item[1]))
        return [Fault(kind, labels[0], len(labels)) for kind, labels in kinds]

    def random(self, *key: object) -> random.Random:
        """Draws that depend on the seed and the key alone."""
        return random.Random(f"{self.seed}/{'/'.join(map(str, key))}")

    def in_turn(self, items: Iterable[T], key: object = "order") -> Iterator[T]:
        """The items in a drawn order, until all are given or the time is over, which is then noted."""
        drawn = list(items)
        self.random(key).shuffle(drawn)
        for number, item in enumerate(drawn):
            if self.over:
                self.notes.append(f"{number} of {len(drawn)} fixed trials were made in the time.")
                return
            yield item

    def folder(self, name: str) -> Path:
        """An empty folder of that name."""
        place = self.work / name
        place.mkdir(parents=True)
        return place

    def count(self, label: str, wrong: str | None) -> None:
        """Count one trial. `wrong` is the kind of fault, None where it survived."""
        with self._lock:
            self.tried += 1
            if wrong is not None:
                self._faults.setdefault(wrong, []).append(label)

    def read(self, label: str, read: Callable[[], Any], accept: Callable[[Any], str | None] | None = None) -> None:
        """Try to read one input in this process: it is taken, or refused with a FirstlightError, in bounded time and
        memory. Anything else is a fault.

        accept  says of what was taken why it should not have been, or None
        """
        before, wrong = _peak_memory(anew=True), None
        try:
            with warnings.catch_warnings(), _time_limit():
                warnings.simplefilter("ignore")
                taken = read()
            wrong = accept(taken) if accept else None
        except FirstlightError as error:
            if len(str(error)) > 20_000:
                wrong = "a message of more than 20,000 characters"
        except TimeLimitError as error:
            wrong = f"longer than {LONGEST_READ} s {_place(error)}"
        except Exception as error:
            wrong = f"{type(error).__name__} {_place(error)}"
        grown = _peak_memory() - before
        if grown > MOST_MEMORY:
            wrong = f"more than {MOST_MEMORY >> 30} GiB of memory"
        self.count(label, wrong)


@contextmanager
def _time_limit() -> Iterator[None]:
    """Raise TimeLimitError in the block once it is past. Elsewhere than in the main thread there is no limit."""

    def end(*_: object) -> None:
        raise TimeLimitError

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(LONGEST_READ)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _place(error: BaseException) -> str:
    """The innermost line of firstlight that an error came through."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "firstlight" in Path(frame.filename).parts
    ]
    return f"at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "outside of firstlight"


def _peak_memory(anew: bool = False) -> int:
    """The most memory that this process has held, in bytes, since it was last asked `again`; 0 where Linux is not."""
    try:
        if anew:
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
