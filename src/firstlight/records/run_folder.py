"""The run folder: the only record of a run, which the report, the comparison and the dashboard read.

    experiment.toml     resolved, every default written out
    environment.json    versions, machine, threads, the git commit of the working folder
    data.json           source, hashes, class names, split ids, what the checks found
    model.json          architecture, class names, preparation, loss: all that predict needs
    weights.safetensors the best weights by validation (the last where that was not asked for)
    history.csv         epoch, loss, accuracy, val_loss, val_accuracy, learning_rate, seconds (and penalty,
                        and val_ of further metrics)
    costs.csv           steps, and the mean loss of those since the row before, where that was asked for
    predictions.npz     ids, labels, probabilities of the validation and test splits
    novelty.npz         what tells images of none of the classes, and how far the run's own images lie from them
    samples.npz         the images that the report shows, as the model saw them; of augmented ones, some draws
    hashes.json         the SHA-256 of the files above that have what was learnt and measured
    result.json         the numbers; written last, so that a run without it is unfinished
    checkpoints/        the newest two, each with a manifest of hashes written last
    report.html         and report.pdf where it was asked for
    explanation.npz     what explaining the net found: units, filters, maps, mistakes, labels in doubt
    export/             the files that the model was exported to, unless another place was named
    exports.json        which exports were written, and what was verified of each
    plugins/            copies of the files with components of the user's own
    .lock               held by the process that trains
    .stop               asks that process to stop, as Ctrl-C does
    .progress           how far the epoch under way is, while it trains

Every file is written whole or not at all, and nothing is ever unpickled.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from firstlight.errors import DataError, RunError, brief
from firstlight.files import (
    ARRAYS_LIMIT,
    RECORD_LIMIT,
    TABLE_LIMIT,
    TOML_LIMIT,
    arrays_of,
    is_file,
    is_folder,
    is_there,
    numbers_of,
    sha256,
    text_of,
    write_text,
)
from firstlight.locks import LOCK, is_locked
from firstlight.notebook_display import Shown
from firstlight.records.environment import Environment
from firstlight.records.experiment import ExperimentRecord
from firstlight.records.images import ImagesRecord
from firstlight.records.locked_folder import is_free
from firstlight.records.model import ModelRecord
from firstlight.records.record_files import (
    FORMAT,
    read_experiment,
    read_file,
    read_json,
    read_record,
    write_arrays,
    write_record,
)
from firstlight.records.result import Hashes, Result
from firstlight.text import listed
from firstlight.types import Array, Images, Json, MixedImages, Predictions

EXPERIMENT = "experiment.toml"
ENVIRONMENT = "environment.json"
DATA = "data.json"
MODEL = "model.json"
WEIGHTS = "weights.safetensors"
HISTORY = "history.csv"
COSTS = "costs.csv"
PREDICTIONS = "predictions.npz"
NOVELTY = "novelty.npz"
SAMPLES = "samples.npz"
RESULT = "result.json"
HASHES = "hashes.json"
CHECKPOINTS = "checkpoints"
REPORT = "report.html"
STUDY = "study.json"
HASHED = (MODEL, WEIGHTS, HISTORY, COSTS, PREDICTIONS, NOVELTY, SAMPLES)  # what hashes.json has
MOST = 2**53  # epochs; from there on a float is not every integer
RECORDS = (EXPERIMENT, ENVIRONMENT, DATA, *HASHED, HASHES, RESULT)  # what nothing else may replace
ONE = 1 + 1e-3  # the greatest probability, after rounding


def require_other(path: Path) -> None:
    """Raise RunError where writing a file would replace one that is the record of a run."""
    if path.name in RECORDS and is_file(path.resolve().parent / EXPERIMENT):
        raise RunError(f"{path} is part of the record of a run and would be overwritten. Name another file.")


def runs_of_study(study: Path) -> list[Path]:
    """The folders of the runs that a study has begun: below NAME, each seed's, or below that each fold's."""
    return [file.parent for below in ("", "fold-*/") for file in sorted(study.glob(f"*/seed-*/{below}{EXPERIMENT}"))]


@dataclass(frozen=True)
class RunFolder(Shown):
    """A run on disk, read when asked. Its files are checked as they are read; each failing names the file."""

    path: Path

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Return the run at `path`. Raises RunError where there is none or its format is newer than this program."""
        folder = cls(Path(path))
        if not is_folder(path):
            raise RunError(f"{brief(path)}: there is no such run folder.")
        if (folder.path / STUDY).is_file():
            run = next(iter(runs_of_study(folder.path)), folder.path / "NAME" / "seed-0")
            several = "folds" if run.parent.name.startswith("seed-") else "seeds"
            raise RunError(
                f"{path} is a study, not a run: its report is {folder.path / REPORT}. Give runs of it instead, such as "
                f"{run}; compare takes all {several} of one too, as in {run.parent}."
            )
        if not is_file(folder.path / EXPERIMENT):
            inside = min((file.parent for file in folder.path.glob(f"*/{EXPERIMENT}")), default=None)
            hint = "" if inside is None else f" It holds runs: give one of them, such as {inside}."
            if is_file(folder.path / LOCK) and is_free(folder.path) and not is_locked(folder.path):
                hint = " A run that began here ended before it had saved anything: start it again."
            raise RunError(f"{brief(path)} is not a run folder: it has no {EXPERIMENT}.{hint}")
        return folder

    @property
    def name(self) -> str:
        return brief(self.path.resolve().name)

    @property
    def finished(self) -> bool:
        """Whether the run has its result. A run without one is in progress, or was cut off."""
        return is_file(self.path / RESULT)

    @cached_property
    def experiment(self) -> ExperimentRecord:
        return read_experiment(self.path, EXPERIMENT)

    @property
    def experiment_text(self) -> str:
        """experiment.toml as it stands."""
        try:
            return text_of(read_file(self.path, EXPERIMENT, TOML_LIMIT))
        except ValueError as error:
            raise RunError(f"{self.path / EXPERIMENT} is damaged: {error}.") from None

    @property
    def has_environment(self) -> bool:
        """Whether it was recorded where the run takes place, which comes before training."""
        return is_file(self.path / ENVIRONMENT)

    @cached_property
    def environment(self) -> Environment:
        return read_record(self.path, ENVIRONMENT, Environment)

    @cached_property
    def data(self) -> ImagesRecord:
        return read_record(self.path, DATA, ImagesRecord)

    @property
    def location(self) -> str:
        """Where a user's own images were; "" for a named set, and before the run has recorded it."""
        return self.data.location if (self.path / DATA).exists() else ""

    @cached_property
    def model(self) -> ModelRecord:
        record = read_record(self.path, MODEL, ModelRecord)
        self.read(MODEL, RECORD_LIMIT)  # after its format, for that of a newer one is told first
        return record

    @cached_property
    def result(self) -> Result:
        """The numbers, such as result.test.accuracy. Raises RunError while there are none."""
        if not self.finished:
            raise RunError(
                f"{self.path} has no result yet: the run is still training, or it was cut off. "
                f"Resume it: firstlight resume {self.path}"
            )
        return read_record(self.path, RESULT, Result)

    @property
    def result_json(self) -> Json:
        """result.json as it stands, for other programs. Raises RunError while there is none."""
        _ = self.result  # which says what an unfinished run lacks
        return {"format": FORMAT, **read_json(self.path, RESULT)}

    @property
    def hashes(self) -> Mapping[str, str]:
        """The SHA-256 of files as the run wrote them, by name; none before it has a result, or by an older version."""
        if not self.finished or not self.result.hashed:
            return {}
        return read_record(self.path, HASHES, Hashes).sha256

    @property
    def weights(self) -> str:
        """The SHA-256 of its weights; "" where that was not recorded."""
        return self.hashes.get(WEIGHTS, "")

    def read(self, name: str, limit: int) -> bytes:
        """The bytes of one of its files, at most `limit`. Raises RunError, also where the result has another hash."""
        data = read_file(self.path, name, limit)
        recorded = self.hashes.get(name)
        if recorded is not None and hashlib.sha256(data).hexdigest() != recorded:
            if RunFolder(self.path).hashes.get(name) != recorded:
                raise RunError(f"{self.path / name} was rewritten while it was read: try again.")
            raise RunError(
                f"{self.path / name} is damaged: it is not the file that the run wrote, for its SHA-256 is not the one "
                f"in {HASHES}. Restore the right one, or train again: firstlight run {self.path / EXPERIMENT} --out "
                "NEW"
            )
        return data

    @cached_property
    def history(self) -> dict[str, Array]:
        """The columns of history.csv, float64, one row per epoch."""
        columns = self._table(HISTORY, {"epoch", "loss"})
        epochs = columns["epoch"]
        if not ((epochs >= 1) & (epochs < MOST) & (np.floor(epochs) == epochs)).all():
            raise RunError(f"{self.path / HISTORY} is damaged: its epochs are not integers of at least 1.")
        return columns

    @cached_property
    def costs(self) -> dict[str, Array] | None:
        """The columns of costs.csv, "step" and "loss"; None where no costs within the epochs were asked for."""
        return self._table(COSTS, {"step", "loss"}) if is_there(self.path / COSTS) else None

    @cached_property
    def predictions(self) -> dict[str, Predictions]:
        """Predictions by split: "validation" and "test"."""
        found = {}
        for split, arrays in self._arrays(PREDICTIONS, {"ids": "U", "labels": "iu", "probabilities": "f"}).items():
            with self._told(PREDICTIONS):
                found[split] = Predictions(arrays["ids"], arrays["labels"], arrays["probabilities"])
            self._check_answers(split, found[split])
        return found

    @cached_property
    def samples(self) -> dict[str, Images]:
        """The images that the report shows, by split, as the model saw them (after resizing and greyscale).

        "augmented" are training images, each as often as there are epochs of which the draws are shown; where they were
        mixed with others, they are `MixedImages`.
        """
        shape = self.model.input_shape
        found = {}
        for split, arrays in self._arrays(SAMPLES, {"pixels": "u", "labels": "iu", "ids": "U"}).items():
            with self._told(SAMPLES):
                found[split] = Images(arrays["pixels"], arrays["labels"], arrays["ids"], self.class_names)
                if "targets" in arrays:
                    found[split] = MixedImages.of(found[split], arrays["targets"])
            if found[split].shape != shape:
                raise RunError(
                    f"{self.path / SAMPLES} is damaged: its {split} images are {found[split].shape}; the model takes "
                    f"{shape}."
                )
        return found

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.model.class_names

    def _table(self, name: str, needed: set[str]) -> dict[str, Array]:
        """The columns of a file of numbers, float64."""
        try:
            columns = numbers_of(self.read(name, TABLE_LIMIT))
        except ValueError as error:
            raise RunError(f"{self.path / name} is damaged: {error}.") from None
        if not needed <= columns.keys():
            raise RunError(f"{self.path / name} is damaged: it lacks a column of {listed(sorted(needed))}.")
        return columns

    def _arrays(self, name: str, needed: Mapping[str, str]) -> dict[str, dict[str, Array]]:
        """The arrays of an .npz whose keys are split.field, by split; `needed` are the fields with their kinds."""
        splits: dict[str, dict[str, Array]] = {}
        try:
            for key, array in arrays_of(self.read(name, ARRAYS_LIMIT)).items():
                split, _, field = key.partition(".")
                splits.setdefault(split, {})[field] = array
        except ValueError as error:
            raise RunError(f"{self.path / name} is damaged: {error}.") from None
        for split, arrays in splits.items():
            for field, kinds in needed.items():
                if field not in arrays:
                    raise RunError(f"{self.path / name} is damaged: it has no {split}.{field}.")
                if arrays[field].dtype.kind not in kinds:
                    raise RunError(f"{self.path / name} is damaged: {split}.{field} is {arrays[field].dtype}.")
        return splits

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Say of arrays that do not belong together which file they are in."""
        try:
            yield
        except DataError as error:
            raise RunError(f"{self.path / name} is damaged. {error}") from None

    def _check_answers(self, split: str, predictions: Predictions) -> None:
        """Raise RunError where predictions are not of the run's classes, or no probabilities."""
        labels, probabilities, classes = predictions.labels, predictions.probabilities, len(self.class_names)
        if probabilities.shape[1] != classes:
            trouble = f"has {probabilities.shape[1]} probabilities for {classes} classes"
        elif len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            trouble = f"has labels from {labels.min()} to {labels.max()} for {classes} classes"
        elif not ((probabilities >= 0) & (probabilities <= ONE)).all():  # NaN is neither
            trouble = "has probabilities that are none"
        else:
            return
        raise RunError(f"{self.path / PREDICTIONS} is damaged: {split} {trouble}.")


def write_result(run: Path, result: Result) -> None:
    """Write hashes.json, of what has been written before it, and result.json, which is the last file of a run.

    So a run with a result has files that fit it, whenever it is killed: one that continues with an interrupted run
    takes the result away before it writes anything else. The hashes have a file of their own, since history.csv has
    seconds: the results of two runs of one experiment stay the same but for theirs.
    """
    found = {name: sha256(run / name) for name in HASHED if (run / name).exists()}
    write_record(run, HASHES, Hashes(sha256=found))
    write_record(run, RESULT, replace(result, hashed=True))


def write_history(run: Path, columns: Sequence[str], rows: Sequence[Mapping[str, float]]) -> None:
    """Write history.csv: a row per epoch, numbers in full precision; nan where a metric gave none."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    table.writerows([repr(row.get(column, math.nan)) for column in columns] for row in rows)
    write_text(run / HISTORY, text.getvalue())


def write_costs(run: Path, costs: Sequence[tuple[int, float]]) -> None:
    """Write costs.csv: steps done, and the mean loss of those since the row before."""
    lines = ["step,loss", *(f"{step},{cost!r}" for step, cost in costs)]
    write_text(run / COSTS, "\n".join(lines) + "\n")


def write_predictions(run: Path, predictions: Mapping[str, Predictions]) -> None:
    """Write predictions.npz."""
    fields = ("ids", "labels", "probabilities")
    write_arrays(run / PREDICTIONS, {f"{s}.{f}": getattr(p, f) for s, p in predictions.items() for f in fields})


def write_samples(run: Path, samples: Mapping[str, Images]) -> None:
    """Write samples.npz."""
    fields = ("pixels", "labels", "ids", "targets")
    arrays = {f"{s}.{f}": getattr(i, f) for s, i in samples.items() for f in fields if hasattr(i, f)}
    write_arrays(run / SAMPLES, arrays)
