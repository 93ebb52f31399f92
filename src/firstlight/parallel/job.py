"""One run of a study as a worker does it: continued or begun, with its share of the threads, and reported."""

from __future__ import annotations

import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from firstlight import experiments, report, training
from firstlight.console import TrainingProgress
from firstlight.errors import FirstlightError, ReportError, told
from firstlight.experiments import Experiment
from firstlight.parallel.pool import limited_threads
from firstlight.records import run_folder
from firstlight.records.locked_folder import locked_folder
from firstlight.records.result import Status
from firstlight.records.run_folder import RunFolder
from firstlight.records.study_folder import RunKey, run_title

INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Job:
    """One run with its seed, or of a fold: all that a worker needs.

    folder   of the run
    threads  that it may use; None: as many as its process has
    """

    name: str
    key: RunKey
    experiment: Experiment
    folder: Path
    threads: int | None

    @property
    def title(self) -> str:
        return f"{self.name}, {run_title(self.key)}"


def train(job: Job) -> str:
    """Do one run, in a worker: "" where it is complete, else what went wrong."""
    with limited_threads(job.threads), TrainingProgress(Console(quiet=True)) as watcher:
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
    return INTERRUPTED if folder.result.status == Status.INTERRUPTED else ""


def _resumed(job: Job, watcher: TrainingProgress) -> RunFolder | None:
    """The run, continued, or None where it left nothing to continue; what it left is then removed."""
    if not job.folder.exists():
        return None
    with locked_folder(job.folder):  # so that nobody trains it between the look and the removal
        begun = (job.folder / run_folder.EXPERIMENT).is_file() and training.newest(job.folder / run_folder.CHECKPOINTS)[
            0
        ] is not None
        if not begun:
            shutil.rmtree(job.folder)
    return experiments.resume(job.folder, watcher) if begun else None
