"""The row of a run in the table, from its files."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from firstlight.errors import FirstlightError, NewerFormatError, RunError
from firstlight.experiments import USUAL
from firstlight.locks import is_locked
from firstlight.optimizers import OPTIMIZERS
from firstlight.records import run_folder
from firstlight.records.experiment import Named
from firstlight.records.locked_folder import PROGRESS, STOP, EpochProgress, progress
from firstlight.records.result import Status
from firstlight.records.run_folder import RunFolder

PDF = "report.pdf"

RECORDS = (run_folder.DATA, run_folder.ENVIRONMENT, run_folder.PREDICTIONS, run_folder.SAMPLES, run_folder.COSTS)
RECORD = (run_folder.EXPERIMENT, run_folder.MODEL, run_folder.HISTORY, run_folder.RESULT)
READ = (*RECORD, STOP, PROGRESS, run_folder.REPORT, PDF)
HUGE = 1e18  # no number of a run is beyond it
CURVE = 60  # points of a row's small curve, which is 120 pixels wide

State = Literal[
    "training",
    "finished",
    "stopped early",
    "stopped by on_epoch",
    "stopped by on_step",
    "interrupted",
    "diverged",
    "cut off",
    "damaged",
    "newer",
]
Kind = Literal["run", "study", "search", "folds", "other"]  # folds: a folder of runs with an out-of-fold record


READY = tuple(str(status) for status in Status)  # with weights and predictions


@dataclass(frozen=True)
class Entry:
    """A folder that was found below the root.

    name    its path relative to the root, with slashes
    group   the name of the study that it belongs to, or ""
    """

    id: str
    path: Path
    name: str
    kind: Kind
    group: str = ""


@dataclass(frozen=True)
class RunSummary:
    """A run as the table shows it.

    why       what is wrong with it, if anything
    stopping  whether it was asked to stop, and has not yet
    changed   when one of its records last changed, in seconds since 1970
    report    whether it has a report, and likewise `pdf`
    within    how far the epoch under way is
    curve     its losses over the epochs, at most CURVE of them: the epochs (from 0 on), "loss" and "val_loss"
    numbers   the recorded numbers that are shown, by their places in the result
    last      the last value of each column of its history
    """

    id: str
    name: str
    group: str
    state: State
    why: str = ""
    stopping: bool = False
    changed: float = 0.0
    report: bool = False
    pdf: bool = False
    within: EpochProgress | None = None
    model: str = ""
    data: str = ""
    engine: str = ""
    seed: int | None = None
    epochs: int = 0
    asked: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    accuracy: float | None = None
    loss: float | None = None
    val_accuracy: float | None = None
    numbers: dict[str, float | None] = field(default_factory=dict)
    curve: dict[str, list[float | None]] = field(default_factory=dict)
    last: dict[str, float | None] = field(default_factory=dict)


def by_data(summaries: Iterable[RunSummary]) -> list[tuple[str, list[RunSummary]]]:
    """The runs by the data that they learnt, each group in the order of the summaries."""
    groups: dict[str, list[RunSummary]] = {}
    for summary in summaries:
        groups.setdefault(summary.data, []).append(summary)
    return list(groups.items())


def fingerprint(run: Path, all_files: bool = False) -> Hashable:
    """What changes when the row of the run does, or, where `all_files` is asked for, anything in its records."""
    times = tuple(_changed(run, name) for name in (READ + RECORDS if all_files else READ))
    return times, bool(not times[READ.index(run_folder.RESULT)] and is_locked(run))


def read_summary(entry: Entry) -> RunSummary:
    """The row of a run; one that cannot be read says why."""
    folder = RunFolder(entry.path)
    stopping = bool(_changed(entry.path, STOP))
    changed = max(_changed(entry.path, name) for name in RECORD) / 1e9
    try:
        state, why = _state(folder)
        facts = _facts(folder)
    except Exception as error:  # whatever is in the folder: it spoils this row, and no other
        text = str(error) if isinstance(error, FirstlightError) else f"{entry.path} is damaged: {error!r:.300}."
        state, why, facts = ("newer" if isinstance(error, NewerFormatError) else "damaged"), text, {}
    if state == "training":
        facts["within"] = progress(entry.path)
    return RunSummary(
        entry.id,
        entry.name,
        entry.group,
        state,
        why,
        stopping and state == "training",
        changed=changed,
        report=bool(_changed(entry.path, run_folder.REPORT)),
        pdf=bool(_changed(entry.path, PDF)),
        **facts,
    )


def _state(folder: RunFolder) -> tuple[State, str]:
    if folder.finished:
        return folder.result.status.value, folder.result.stopped_because
    if is_locked(folder.path):
        return "training", ""
    return "cut off", f"No process is training it, and it has no result. Resume it: firstlight resume {folder.path}"


def _facts(folder: RunFolder) -> dict[str, Any]:
    experiment, model = folder.experiment, folder.model
    facts: dict[str, Any] = {
        "data": Path(experiment.data.source).name,
        "engine": experiment.engine,
        "seed": experiment.seed,
        "asked": experiment.training.epochs,
        "batch_size": experiment.training.batch_size,
        "lr": _learning_rate(experiment.optimizer),
        "model": model.name,
    }
    columns = history(folder)
    facts["epochs"] = len(columns.get("epoch", ()))
    facts["curve"] = _curve(columns, facts["epochs"])
    facts["last"] = {name: column[-1] for name, column in columns.items() if column}
    best = [value for value in columns.get("val_accuracy", ()) if value is not None]
    facts["val_accuracy"] = max(best, default=None)
    if folder.finished:
        result = folder.result
        facts |= {
            "accuracy": result.test.accuracy,
            "loss": result.test.loss,
            "numbers": result.numbers,
        }
    elif "seconds" in columns:
        facts["numbers"] = {"seconds.train": sum(value or 0.0 for value in columns["seconds"])}
    return facts


def _learning_rate(optimizer: Named) -> float | None:
    """The learning rate that was asked for, or else that of the optimizer by its name."""
    lr = optimizer.options.get("lr")
    if lr is None and (name := optimizer.name or USUAL.optimizer.name) in OPTIMIZERS:
        lr = OPTIMIZERS.defaults(name).get("lr")
    return _number(lr, run_folder.EXPERIMENT, "optimizer.lr")


def _number(value: Any, file: str, key: str) -> float | None:
    """A number of a record; None where it is null or not finite."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RunError(f"{file} is damaged: {key} is {value!r:.100}, not a number.")
    return float(value) if abs(value) < HUGE else None


def _whole(value: Any, file: str, key: str) -> int | None:
    """An integer of a record; None where it is null."""
    number = _number(value, file, key)
    return None if number is None else int(number)


def _curve(columns: dict[str, list[float | None]], epochs: int) -> dict[str, list[float | None]]:
    """The losses of epochs that lie evenly, the first and the last among them."""
    count = min(epochs, CURVE)
    chosen = [round(i * (epochs - 1) / max(1, count - 1)) for i in range(count)]
    curve: dict[str, list[float | None]] = {"at": [*chosen]}
    return curve | {
        name: [None if (value := columns[name][i]) is None else float(f"{value:.4g}") for i in chosen]
        for name in ("loss", "val_loss")
        if name in columns
    }


def history(folder: RunFolder) -> dict[str, list[float | None]]:
    """The columns of the history so far, null where a number is not finite; empty before the first epoch."""
    if not (folder.path / run_folder.HISTORY).is_file():
        return {}
    columns = folder.history
    return {
        name: [value if math.isfinite(value) else None for value in column.tolist()] for name, column in columns.items()
    }


def _changed(run: Path, name: str) -> int:
    try:
        return (run / name).stat().st_mtime_ns
    except OSError:
        return 0
