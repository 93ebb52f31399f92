"""One trial of a search, trained in whichever process has taken it and judged by validation alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import tomli_w

from firstlight import data as data_
from firstlight import training
from firstlight.errors import ModelError, TrainingError
from firstlight.experiments.config import Experiment
from firstlight.experiments.paths import relative_to
from firstlight.experiments.search.config import Search
from firstlight.experiments.setup import Setup, set_up
from firstlight.experiments.train import learn
from firstlight.files import write_text
from firstlight.records import run_folder
from firstlight.records.search_folder import State, TrialRecord
from firstlight.types import Dataset

if TYPE_CHECKING:
    from firstlight.experiments.search.storage import Claim, Ledger

ASIDE = ("test",)  # a search never sees the test images


@dataclass(frozen=True)
class Order:
    """What a worker needs to do a trial.

    session   names the command: what a process keeps from trial to trial, it keeps for one command
    deadline  the time after which no trial is begun
    """

    search: Search
    out: Path
    session: str
    deadline: float


def next_trial(order: Order) -> TrialRecord | None:
    """Do the next trial, in whichever process; None where none is left, or the time is over."""
    if time.time() > order.deadline:
        return None
    ledger = open_ledger(order)
    with ledger.told():
        claim = ledger.claim(order.session)
        if claim is None:
            return None
        try:
            record = _do(order, ledger, claim)
            ledger.close(claim, record)
        finally:
            claim.lock.close()
    return record


def prepare(experiment: Experiment, order: Order) -> Setup:
    """An experiment of the search set up, without the test images. A process loads the images once."""
    section = experiment.data
    return set_up(experiment, _load(order.session, section.source, section.size, section.unverified), without=ASIDE)


@lru_cache(maxsize=1)
def _load(session: str, source: str, size: tuple[int, int] | None, unverified: bool) -> Dataset:
    return data_.load(source, size=size, unverified=unverified)


_OPEN: dict[str, Ledger] = {}


def open_ledger(order: Order) -> Ledger:
    """The search's storage, which a process opens once."""
    from firstlight.experiments.search.storage import Ledger

    if order.session not in _OPEN:
        _OPEN.clear()
        _OPEN[order.session] = Ledger(order.search, order.out)
    return _OPEN[order.session]


class _PrunedError(Exception):
    """The trial is stopped early."""


def _do(order: Order, ledger: Ledger, claim: Claim) -> TrialRecord:
    """Train a trial. What it is to blame for itself is recorded; a mistake that all share is raised."""
    began = time.perf_counter()
    experiment = order.search.experiment(claim.values)
    write_text(claim.folder / run_folder.EXPERIMENT, tomli_w.dumps(relative_to(experiment.tables(), claim.folder)))
    judge = _Judge(ledger, claim, experiment)
    state: State = "complete"
    reason = ""
    try:
        outcome = learn(prepare(experiment, order), judge)
        if outcome.status == "interrupted":
            raise KeyboardInterrupt
        if outcome.status == "diverged":
            state, reason = "failed", outcome.because
    except _PrunedError:
        state = "pruned"
    except (ModelError, TrainingError) as error:
        state, reason = "failed", str(error)
    except MemoryError as error:
        state, reason = "failed", f"There was not enough memory. {error}".strip()
    if judge.history:
        run_folder.write_history(claim.folder, training.COLUMNS, judge.history)
    return TrialRecord(
        claim.place + 1,
        state,
        claim.values,
        judge.value,
        len(judge.history),
        judge.best,
        time.perf_counter() - began,
        reason,
    )


class _Judge:
    """Watches the training of a trial: tells the ledger its value after each epoch, and ends it where it is stopped."""

    def __init__(self, ledger: Ledger, claim: Claim, experiment: Experiment) -> None:
        self.ledger, self.claim, self.course = ledger, claim, experiment.training
        self.history: list[dict[str, float]] = []
        self.value: float | None = None
        self.best = 0

    def note(self, text: str) -> None:
        """See `Watcher.note`: a trial is silent."""

    def started(self, epochs: int, images: int, done: int) -> None:
        """See `Watcher.started`."""

    def batch_done(self, images: int, loss: float) -> None:
        """See `Watcher.batch_done`."""
        self.ledger.sign_of_life(self.claim)

    def epoch_done(self, row: dict[str, float], best: bool) -> None:
        """See `Watcher.epoch_done`. The value is that of the weights that the run would end with if it ended here."""
        self.history.append(row)
        if best or not self.course.restore_best:
            self.value, self.best = row[self.course.monitor], len(self.history)
        assert self.value is not None, "the first epoch is the best so far"
        if self.ledger.report(self.claim, len(self.history), self.value) and len(self.history) < self.course.epochs:
            raise _PrunedError
