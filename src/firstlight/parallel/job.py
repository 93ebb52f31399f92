"""One run of a study as a worker does it: gone on with or begun, with its share of the threads, and reported."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rich.console import Console

from firstlight import experiments, report, training
from firstlight.errors import FirstlightError, ReportError, told
from firstlight.experiments import Experiment
from firstlight.progress import TrainingProgress
from firstlight.records import run_folder
from firstlight.records.run_folder import RunFolder

INTERRUPTED = "interrupted"
POLL = 0.5  # seconds between two looks whether anyone waits


@dataclass(frozen=True)
class Job:
    """One run with its seed: all that a worker needs.

    folder   of the run
    threads  that it may use; None: as many as its process has
    parent   the process without which nobody waits for it, which may do it itself; None on a cluster
    """

    name: str
    seed: int
    experiment: Experiment
    folder: Path
    threads: int | None
    parent: int | None = None

    @property
    def title(self) -> str:
        return f"{self.name}, seed {self.seed}"


def train(job: Job) -> str:
    """Do one run, in a worker: "" where it is complete, else what went wrong."""
    _stop_with_parent(job.parent)
    with _limited_threads(job.threads), TrainingProgress(Console(quiet=True)) as watcher:
        try:
            folder = _resumed(job, watcher)
            if folder is None:
                folder = experiments.start(experiments.set_up(job.experiment), job.folder, watcher)
        except FirstlightError as error:
            return str(error)
        except OSError as error:
            return f"{error.filename or job.folder}: {error.strerror}."
        with told(lambda text: print(f"{job.title}: {text}", file=sys.stderr)), suppress(ReportError, OSError):
            report.write(folder)  # the run is complete without: the study tries again at its end, and tells
    if job.parent not in (None, os.getpid(), os.getppid()):
        os._exit(1)  # nobody waits for the answer, and a worker without work lingers for minutes
    return INTERRUPTED if folder.result["status"] == INTERRUPTED else ""


def _resumed(job: Job, watcher: TrainingProgress) -> RunFolder | None:
    """The run gone on with, or None where it left nothing to go on with; what it left is then removed."""
    if not job.folder.exists():
        return None
    with run_folder.claimed(job.folder):  # so that nobody trains it between the look and the removal
        begun = (job.folder / run_folder.EXPERIMENT).is_file() and training.newest(job.folder / run_folder.CHECKPOINTS)[
            0
        ] is not None
        if not begun:
            shutil.rmtree(job.folder)
    return experiments.resume(job.folder, watcher) if begun else None


@cache
def _stop_with_parent(parent: int | None) -> None:
    """Stop training, as after Ctrl-C, when the process that asked for it is gone; one look-out a process will do."""
    if parent in (None, os.getpid()):
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _limited_threads(threads: int | None) -> Iterator[None]:
    """Hold Numba, BLAS and PyTorch to so many threads."""
    if threads is None:
        yield
        return
    import numba
    from threadpoolctl import threadpool_limits

    for_later = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(threads)  # for PyTorch, which is imported later
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, before))
    try:
        with threadpool_limits(threads):
            yield
    finally:
        numba.set_num_threads(before)
        if for_later is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = for_later
