"""How far a study is, on a console."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from types import TracebackType
from typing import Self

from rich.console import Console

from firstlight.console import ConsoleProgress
from firstlight.errors import RunError
from firstlight.files import MB, read_bytes
from firstlight.parallel.job import Job
from firstlight.records import run_folder
from firstlight.records.estimate import Estimate
from firstlight.records.result import Status
from firstlight.records.run_folder import RunFolder
from firstlight.records.study_folder import StudyFolder
from firstlight.report.format import percent
from firstlight.text import bytes_said, duration

POLL = 0.5  # seconds between two readings of what the runs have written


class StudyProgress(ConsoleProgress):
    """How far the runs are, read from their folders: it does not matter where they are trained.

    A bar over all epochs on a terminal; elsewhere a line for each run that is done.

    workers  runs at a time, where that is known
    """

    def __init__(self, folder: StudyFolder, runs: int, console: Console, workers: int | None = None) -> None:
        super().__init__(console)
        self.folder, self.runs, self.workers = folder, runs, workers
        self.told = False  # what all runs of a stage will take
        self.jobs: list[Job] = []
        self.announced: set[str] = set()
        self.kept = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self.step(self.folder.name, 0, None)
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self.thread.join()
        self._poll()
        super().__exit__(kind, error, trace)

    def expect(self, jobs: Sequence[Job], kept: int) -> None:
        """These runs come next; so many others were complete before."""
        if kept:
            self.note(f"{kept} complete before.")
        self.kept += kept
        self.jobs, self.told = [*self.jobs, *jobs], False

    def _watch(self) -> None:
        while not self.stop.wait(POLL):
            self._poll()

    def _poll(self) -> None:
        jobs, epochs, total = self.jobs, 0, 0
        for job in jobs:
            total += job.experiment.training.epochs
            run = RunFolder(job.folder)
            done = run.finished
            epochs += job.experiment.training.epochs if done else _rows(job.folder / run_folder.HISTORY)
            if done and job.title not in self.announced:
                self._announce(job, run)
        if not self.told and self.workers is not None:
            self._tell(self.workers)
        done_runs = self.kept + len(self.announced)
        self.step(f"{self.folder.name}: {done_runs} of {self.runs} runs", epochs, total or None)

    def _tell(self, workers: int) -> None:
        """What the runs that come will take together, by what the first of them were told to take."""
        coming = [job for job in self.jobs if job.title not in self.announced]
        found = [one for job in coming if (one := _estimate(job.folder)) is not None]
        if not coming or len(found) < min(workers, len(coming)):
            return
        self.told, at_once = True, min(workers, len(coming))
        seconds = fmean(one.seconds for one in found) * len(coming) / at_once
        memory = fmean(one.memory for one in found) * at_once
        runs = "the run" if len(coming) == 1 else f"{len(coming)} runs"
        needed = f", and {bytes_said(memory)} of memory" if memory else ""
        told = "" if len(coming) == len(found) else f", if each takes as long as the first{_and_more(len(found))}"
        self.note(
            f"About {duration(seconds)} on this machine for {runs} in {at_once} process{'es' * (at_once > 1)}"
            f"{needed}{told}."
        )

    def _announce(self, job: Job, run: RunFolder) -> None:
        self.announced.add(job.title)
        try:
            result = run.result
        except RunError:
            return  # it continues with what was interrupted, and has just removed its result
        line = (
            f"{job.title}: test accuracy {percent(result.test.accuracy, 2)}, {result.epochs.run} epochs, "
            f"{result.seconds.train:.1f} s"
        )
        status = "" if result.status == Status.FINISHED else f" ({result.status})"
        self.line(f"{line}{status}  [{self.kept + len(self.announced)} of {self.runs}]")


def _and_more(count: int) -> str:
    return "" if count == 1 else f" {count}"


def _estimate(place: Path) -> Estimate | None:
    """What a run that has begun was told to take."""
    try:
        return RunFolder(place).environment.last.estimate
    except RunError:
        return None


def _rows(history: Path) -> int:
    try:
        return max(0, read_bytes(history, limit=16 * MB).count(b"\n") - 1)
    except OSError:
        return 0
