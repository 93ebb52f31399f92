"""One trial of a search, trained in whichever process has taken it and judged by validation alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import tomli_w

from firstlight import data, training
from firstlight.errors import ModelError, TrainingError
from firstlight.experiments.config import Experiment
from firstlight.experiments.paths import relative_to
from firstlight.experiments.search.config import Search
from firstlight.experiments.setup import Setup, set_up
from firstlight.experiments.train import learn
from firstlight.files import write_text
from firstlight.progress import Watcher
from firstlight.records import run_folder
from firstlight.records.result import Status
from firstlight.records.search_folder import State, TrialRecord
from firstlight.types import Dataset

if TYPE_CHECKING:
    from firstlight.experiments.search.storage import RunningTrial, Storage

ASIDE = ("test",)  # a search never sees the test images


@dataclass(frozen=True)
class SearchJob:
    """What a worker needs to do a trial.

    session   names the command: what a process keeps from trial to trial, it keeps for one command
    deadline  the time after which no trial is begun
    """

    search: Search
    out: Path
    session: str
    deadline: float


def run_next_trial(job: SearchJob) -> TrialRecord | None:
    """Do the next trial, in whichever process; None where none is left, or the time is over."""
    if time.time() > job.deadline:
        return None
    storage = open_storage(job)
    with storage.errors():
        running = storage.claim(job.session)
        if running is None:
            return None
        try:
            record = _do(job, storage, running)
            storage.close(running, record)
        finally:
            running.lock.close()
    return record


def prepare(experiment: Experiment, job: SearchJob) -> Setup:
    """An experiment of the search set up, without the test images. A process loads the images once."""
    section = experiment.data
    images = _load(job.session, section.source, section.size, section.unverified, section.group)
    return set_up(experiment, images, without=ASIDE)


@lru_cache(maxsize=1)
def _load(session: str, source: str, size: tuple[int, int] | None, unverified: bool, group: str | None) -> Dataset:
    return data.load(source, size=size, unverified=unverified, group=group)


_OPEN: dict[str, Storage] = {}


def open_storage(job: SearchJob) -> Storage:
    """The search's storage, which a process opens once."""
    from firstlight.experiments.search.storage import Storage

    if job.session not in _OPEN:
        _OPEN.clear()
        _OPEN[job.session] = Storage(job.search, job.out)
    return _OPEN[job.session]


class _PrunedError(Exception):
    """The trial is stopped early."""


def _do(job: SearchJob, storage: Storage, running: RunningTrial) -> TrialRecord:
    """Train a trial. What it is to blame for itself is recorded; a mistake that all share is raised."""
    began = time.perf_counter()
    experiment = job.search.experiment(running.values)
    write_text(running.folder / run_folder.EXPERIMENT, tomli_w.dumps(relative_to(experiment.tables(), running.folder)))
    scorer = _Scorer(storage, running, experiment)
    state: State = "complete"
    reason = ""
    try:
        outcome = learn(prepare(experiment, job), scorer)
        if outcome.status == Status.INTERRUPTED:
            raise KeyboardInterrupt
        if outcome.status == Status.DIVERGED:
            state, reason = "failed", outcome.because
    except _PrunedError:
        state = "pruned"
    except (ModelError, TrainingError) as error:
        state, reason = "failed", str(error)
    except MemoryError as error:
        state, reason = "failed", f"There was not enough memory. {error}".strip()
    if scorer.history:
        columns = training.columns(experiment.training.measured)
        run_folder.write_history(running.folder, columns, scorer.history)
    return TrialRecord(
        running.place + 1,
        state,
        running.values,
        scorer.value,
        len(scorer.history),
        scorer.best,
        time.perf_counter() - began,
        reason,
    )


class _Scorer(Watcher):
    """Reports the value of a trial to the storage after each epoch, and ends the training where the trial is pruned."""

    def __init__(self, storage: Storage, running: RunningTrial, experiment: Experiment) -> None:
        self.storage, self.running, self.training = storage, running, experiment.training
        self.history: list[dict[str, float]] = []
        self.value: float | None = None
        self.best = 0

    def batch_done(self, images: int, loss: float) -> None:
        """See `Watcher.batch_done`."""
        self.storage.heartbeat(self.running)

    def epoch_done(self, row: dict[str, float], best: bool) -> None:
        """See `Watcher.epoch_done`. The value is that of the weights that the run would end with if it ended here."""
        self.history.append(row)
        if best or not self.training.restore_best:
            if self.training.monitor not in row:
                raise TrainingError(f"{self.training.monitor} gave no number in epoch {len(self.history)}.")
            self.value, self.best = row[self.training.monitor], len(self.history)
        assert self.value is not None, "the first epoch is the best so far"
        if (
            self.storage.report(self.running, len(self.history), self.value)
            and len(self.history) < self.training.epochs
        ):
            raise _PrunedError
