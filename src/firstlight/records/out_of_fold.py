"""What the nets of a k-fold split said of the images that they were not trained on: out_of_fold.npz.

Each image is in the test split of one fold, so that together the folds' nets have answered for all of them. The file
lies in the folder of the folds, beside fold-1, fold-2, …; it is written whole or not at all, and once all folds are
done: STUDY/NAME/seed-0/out_of_fold.npz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

import numpy as np

from firstlight.errors import DamagedFileError, RunError
from firstlight.files import ARRAYS_LIMIT, is_there, read_bytes
from firstlight.notebook_display import Brief
from firstlight.records.codec import Axes, decode
from firstlight.records.record_files import unarchived, write_archive
from firstlight.records.run_folder import PREDICTIONS, RunFolder
from firstlight.records.values import FileName, Names
from firstlight.types import Array, Predictions

OUT_OF_FOLD = "out_of_fold.npz"


@dataclass(frozen=True)
class FoldRun:
    """The run of a fold.

    folder       its name, beside the record
    predictions  the SHA-256 of its predictions; "" where that was not recorded
    """

    folder: FileName
    predictions: str = ""


class OfFolds(Protocol):
    """A record that says which runs it was made of."""

    @property
    def runs(self) -> tuple[FoldRun, ...]: ...


R = TypeVar("R", bound=OfFolds)


@dataclass(frozen=True, eq=False, repr=False)
class OutOfFold(Brief):
    """The predictions of all images, each by the net that has not seen it: fold by fold, each image once.

    ids            str (N,), of the images
    labels         int64 (N,), their classes as given: places in `class_names`
    probabilities  float32 (N, K), rows sum to one
    folds          int64 (N,), the fold whose net answered, from 1 on: that of `runs[fold - 1]`
    class_names    the K classes
    runs           the run of each fold

    Raises ValueError where these do not belong together, or an image is there twice.
    """

    ids: Annotated[Array, Axes("U", "n")]
    labels: Annotated[Array, Axes("iu", "n")]
    probabilities: Annotated[Array, Axes("f", "nk")]
    folds: Annotated[Array, Axes("iu", "n")]
    class_names: Names
    runs: tuple[FoldRun, ...]

    def __post_init__(self) -> None:
        n, classes = len(self.ids), len(self.class_names)
        shapes = [array.shape for array in (self.labels, self.folds, self.probabilities)]
        if not n or shapes != [(n,), (n,), (n, classes)]:
            raise ValueError(f"{n} ids of {classes} classes, with arrays of {', '.join(map(str, shapes))}")
        if len(np.unique(self.ids)) < n:
            names, counts = np.unique(self.ids, return_counts=True)
            raise ValueError(f"the image {names[counts > 1][0]} is there more than once")
        if not 0 <= int(self.labels.min()) <= int(self.labels.max()) < classes:
            raise ValueError(f"labels from {self.labels.min()} to {self.labels.max()} for {classes} classes")
        if not np.array_equal(np.unique(self.folds), np.arange(1, len(self.runs) + 1)):
            raise ValueError(f"folds from {self.folds.min()} to {self.folds.max()} of {len(self.runs)} runs")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def predictions(self) -> Predictions:
        """The same as of a test split of all images."""
        return Predictions(self.ids, self.labels, self.probabilities)

    def write(self, folder: Path) -> None:
        """Put it into the folder of the folds, in the place of an older one."""
        write_archive(folder / OUT_OF_FOLD, self)


def collect(runs: Sequence[RunFolder]) -> OutOfFold:
    """The test predictions of the runs of all folds, in the order of the folds, as one.

    Raises RunError where these are not the folds of one split: an image was tested twice, or by none of them.
    """
    found = [run.predictions["test"] for run in runs]
    where = runs[0].path.parent
    try:
        together = OutOfFold(
            ids=np.concatenate([one.ids for one in found]),
            labels=np.concatenate([one.labels for one in found]).astype(np.int64),
            probabilities=np.concatenate([one.probabilities for one in found]).astype(np.float32),
            folds=np.repeat(np.arange(1, len(found) + 1), [len(one) for one in found]),
            class_names=runs[0].class_names,
            runs=tuple(FoldRun(run.path.name, run.hashes.get(PREDICTIONS, "")) for run in runs),
        )
    except ValueError as error:
        raise RunError(f"The runs in {where} are not the folds of one split: {error}.") from None
    tested = set(together.ids.tolist())
    for run in runs:
        if run.class_names != together.class_names:
            raise RunError(f"The runs in {where} are not the folds of one split: {run.name} has other classes.")
        every = (sample for split in run.data.splits.values() for sample in split.ids)
        left = next((sample for sample in every if sample not in tested), None)
        if left is not None:
            raise RunError(
                f"The runs in {where} are not the folds of one split: {run.name} has the image {left}, which none of "
                "them tested."
            )
    return together


def read(folder: Path) -> OutOfFold | None:
    """The record in the folder of the folds; None where there is none, as while folds are missing.

    Raises RunError where it is damaged, too new, or of other predictions than the runs now have.
    """
    again = f"To make it again, remove it, and resume the folds: firstlight resume {folder.parent.parent}"
    return read_of_folds(folder, OUT_OF_FOLD, OutOfFold, again)


def read_of_folds(folder: Path, name: str, kind: type[R], again: str) -> R | None:
    """A record that was made of the predictions of all folds, from their folder; None where there is none.

    again  a sentence on how it is made again

    Raises RunError where it is damaged, too new, or of other predictions than the runs now have.
    """
    path = folder / name
    if not is_there(path):
        return None
    try:
        record, arrays = unarchived(read_bytes(path, limit=ARRAYS_LIMIT, inside=folder), path)
        found = decode(kind, record, arrays)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}. {again}") from None
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged: {error}. {again}", path=path) from None
    for run in found.runs:
        there = RunFolder(folder / run.folder)
        if run.predictions and there.hashes.get(PREDICTIONS, run.predictions) != run.predictions:
            raise RunError(f"{path} is of other predictions than {there.path}, which was trained again. {again}")
    return found
