"""The folder of a search for good settings, which its report reads; whoever continues with it reads the storage too.

    tune.toml    the search as asked: the experiment, what is searched, and how
    search.db    Optuna's storage, unless it is kept elsewhere
    trials/0001/ experiment.toml and history.csv of a trial
    trials.csv   a trial per row, for a spreadsheet
    best.toml    the experiment of the best trial: firstlight run best.toml
    result.json  the trials and what came of them; written last
    report.html  the trials, what they tell of each setting, and the best
    .lock        held for the moment in which a trial is taken; that of a trial by the process that trains it

Every file but the storage is written whole or not at all, and the storage is a database.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from firstlight.cautions import Caution
from firstlight.errors import RunError, brief
from firstlight.files import TEMPORARY, TOML_LIMIT, is_file, read_text, remove_leftovers, write_text
from firstlight.locks import LOCK, locked
from firstlight.notebook_display import Shown
from firstlight.records.environment import Environment
from firstlight.records.experiment import ExperimentRecord
from firstlight.records.record_files import read_experiment, read_record, read_toml, write_record
from firstlight.records.run_folder import RESULT
from firstlight.records.values import AtLeastOne, Count, Positive, Table
from firstlight.types import Json

TUNE = "tune.toml"
STORAGE = "search.db"
TRIALS = "trials"
TABLE = "trials.csv"
BEST = "best.toml"
# What there is of a search that was killed at once: the database's own files among it.
BEGUN = (LOCK, STORAGE, *(f"{STORAGE}-{own}" for own in ("journal", "wal", "shm")))

State = Literal["complete", "pruned", "failed", "running", "waiting"]
ENDED: tuple[State, ...] = ("complete", "pruned", "failed")


@dataclass(frozen=True)
class TrialRecord:
    """A trial of a search.

    number    its place in the search, from 1
    values    of the searched keys
    value     what it is judged by: at its best epoch, or the last where the last weights are kept; None before that
    epochs    trained
    best      the epoch of `value`
    reason    why it failed
    attempts  how often it was begun
    """

    number: AtLeastOne
    state: State
    values: Table
    value: float | None = None
    epochs: Count = 0
    best: Count = 0
    seconds: Positive = 0.0
    reason: str = ""
    attempts: Count = 1

    @property
    def folder(self) -> str:
        """The name of its folder below trials/."""
        return f"{self.number:04d}"


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What result.json says.

    status      "complete", or "unfinished" where trials are missing
    space       the searched keys as the file has them
    importance  of each key, the share of the variance of the complete trials' values that it explains (fANOVA)
    """

    status: Literal["complete", "unfinished"]
    monitor: str
    maximise: bool
    asked: Count
    sampler: str
    pruner: str
    seed: Count
    epochs: Count
    data: str
    model: str
    space: Mapping[str, tuple[Any, ...] | Table]
    trials: tuple[TrialRecord, ...]
    importance: Mapping[str, Positive]
    environment: Environment = Environment()

    def __post_init__(self) -> None:
        for key, domain in self.space.items():
            if isinstance(domain, Mapping) and not _is_range(domain):
                raise ValueError(f"space.{key} is neither a list nor a range")
            for trial in self.trials:
                value = trial.values.get(key, domain)
                among = type(value) in (int, float) if isinstance(domain, Mapping) else value in domain
                if value is not domain and not among:
                    raise ValueError(f"trials: the {key} of trial {trial.number} is not one of those searched")

    @property
    def complete(self) -> list[TrialRecord]:
        """The complete trials, the best first; of equals the earlier."""
        sign = -1 if self.maximise else 1
        found = [
            (sign * trial.value, trial.number, trial) for trial in self.ended("complete") if trial.value is not None
        ]
        return [trial for _, _, trial in sorted(found, key=lambda item: item[:2])]

    @property
    def best(self) -> TrialRecord:
        """The best trial. Raises RunError where none is complete."""
        if not self.complete:
            raise RunError("No trial of this search is complete yet.")
        return self.complete[0]

    def ended(self, state: State) -> list[TrialRecord]:
        """The trials in that state."""
        return [trial for trial in self.trials if trial.state == state]


def shown(value: object) -> str:
    """A searched value in a line of text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown(inner)}" for key, inner in value.items())
    return str(value)


@dataclass(frozen=True)
class TuneFolder(Shown):
    """A search on disk, read when asked."""

    path: Path

    @classmethod
    def open(cls, path: str | Path) -> TuneFolder:
        """The search at `path`. Raises RunError where there is none."""
        folder = cls(Path(path))
        if not is_file(folder.path / TUNE):
            raise RunError(f"{brief(path)} is not the folder of a search: it has no {TUNE}.")
        return folder

    @property
    def name(self) -> str:
        return brief(self.path.resolve().name)

    @cached_property
    def tables(self) -> Json:
        """The search as asked."""
        return read_toml(self.path, TUNE)

    @cached_property
    def best(self) -> ExperimentRecord:
        """The best trial's experiment."""
        return read_experiment(self.path, BEST)

    @property
    def best_text(self) -> str:
        return self._text(BEST)

    @property
    def text(self) -> str:
        """tune.toml as it stands."""
        return self._text(TUNE)

    @cached_property
    def result(self) -> Tuned:
        """The trials. Raises RunError where there are none yet, or the file is damaged or too new."""
        return read_record(self.path, RESULT, Tuned)

    def write_result(self, tuned: Tuned) -> None:
        """Write trials.csv and, last, result.json."""
        write_text(self.path / TABLE, _table(tuned))
        write_record(self.path, RESULT, tuned)

    def _text(self, name: str) -> str:
        try:
            return read_text(self.path / name, limit=TOML_LIMIT, inside=self.path)
        except FileNotFoundError:
            raise RunError(f"{self.path} has no {name} yet: no trial is complete, or the file was removed.") from None
        except OSError as error:
            raise RunError(f"{self.path / name} cannot be read: {error.strerror}.") from None
        except ValueError as error:
            raise RunError(f"{self.path / name} is damaged: {error}.") from None


def _is_range(domain: Table) -> bool:
    kinds = [kind for kind in ("uniform", "log", "int", "log_int") if kind in domain]
    ends = domain[kinds[0]] if len(kinds) == 1 else None
    if not isinstance(ends, list) or len(ends) != 2 or any(type(end) not in (int, float) for end in ends):
        return False
    return bool(ends[0] < ends[1] and (ends[0] > 0 or kinds[0] in ("uniform", "int")))


def _table(tuned: Tuned) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["trial", "state", tuned.monitor, *tuned.space, "epochs", "best epoch", "seconds", "reason"])
    for trial in tuned.trials:
        values = [value if isinstance(value, str) else json.dumps(value) for value in trial.values.values()]
        padded = values or [""] * len(tuned.space)
        value = "" if trial.value is None else repr(trial.value)
        table.writerow(
            [trial.number, trial.state, value, *padded, trial.epochs, trial.best, f"{trial.seconds:.2f}", trial.reason]
        )
    return text.getvalue()


def is_free(folder: Path) -> bool:
    """Whether a folder holds nothing, or no more than a process leaves that was killed as it began a search."""
    try:
        names = [path.name for path in folder.iterdir()] if folder.exists() else []
    except OSError:
        return False
    return all(name in BEGUN or TEMPORARY.fullmatch(name) for name in names)


@contextmanager
def exclusive(folder: Path, note: Callable[[str], None] = lambda text: None) -> Iterator[None]:
    """Hold the folder of a search for a moment, waiting for whoever holds it now; what killed processes left goes.

    Where the file system has no locks, nobody waits, and `note` is told.
    """
    with locked(folder, wait=True) as missing:
        if missing is not None:
            note(
                Caution.NO_LOCKS.note(
                    f"the file system of {folder} has no locks ({missing.strerror}). Nothing prevents two processes "
                    "from training the same trial at once; keep the storage on another file system (--storage) if that "
                    "happens."
                )
            )
        remove_leftovers(folder)
        yield
