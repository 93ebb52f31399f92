"""How far a study is, on a console."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from firstlight import runs
from firstlight.errors import RunError
from firstlight.runs import RunFolder, StudyFolder
from firstlight.workers.job import Job

POLL = 0.5  # seconds between two looks at what the runs have written


class StudyProgress:
    """How far the runs are, read from their folders: it does not matter where they are trained.

    A bar over all epochs on a terminal; elsewhere a line for each run that is done.
    """

    def __init__(self, folder: StudyFolder, runs: int, console: Console) -> None:
        self.folder, self.runs, self.console = folder, runs, console
        self.jobs: list[Job] = []
        self.told: set[str] = set()
        self.kept = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.bar: Progress | None = None
        self.task = TaskID(0)

    def __enter__(self) -> StudyProgress:
        if self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), TimeRemainingColumn())
            self.bar = Progress(*columns, console=self.console, transient=True)
            self.task = self.bar.add_task(self.folder.name, total=None)
            self.bar.start()
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self.thread.join()
        self._look()
        if self.bar is not None:
            self.bar.stop()

    def expect(self, jobs: Sequence[Job], kept: int) -> None:
        """These runs come next; so many others were complete before."""
        if kept:
            self.console.print(f"{kept} complete before.", style="dim", highlight=False)
        self.kept += kept
        self.jobs = [*self.jobs, *jobs]

    def _watch(self) -> None:
        while not self.stop.wait(POLL):
            self._look()

    def _look(self) -> None:
        jobs, epochs, total = self.jobs, 0, 0
        for job in jobs:
            total += job.experiment.training.epochs
            run = RunFolder(job.place)
            done = run.finished
            epochs += job.experiment.training.epochs if done else _rows(job.place / runs.HISTORY)
            if done and job.title not in self.told:
                self._tell(job, run)
        if self.bar is not None:
            done_runs = self.kept + len(self.told)
            text = f"{self.folder.name}: {done_runs} of {self.runs} runs"
            self.bar.update(self.task, description=text, total=total or None, completed=epochs)

    def _tell(self, job: Job, run: RunFolder) -> None:
        self.told.add(job.title)
        try:
            result = run.result
        except RunError:
            return  # it goes on with what was interrupted, and has just removed its result
        line = (
            f"{job.title}: test accuracy {result['test']['accuracy']:.4f}, {result['epochs']['run']} epochs, "
            f"{result['seconds']['train']:.1f} s"
        )
        status = "" if result["status"] == "finished" else f" ({result['status']})"
        self.console.print(
            f"{line}{status}  [{self.kept + len(self.told)} of {self.runs}]",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _rows(history: Path) -> int:
    try:
        return max(0, history.read_bytes().count(b"\n") - 1)
    except OSError:
        return 0
