"""Several runs of one recipe, over seeds or folds, as one classifier: the mean of their nets' probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from firstlight import evaluation, experiments, members
from firstlight.engines import Task
from firstlight.errors import DataError, nearest
from firstlight.experiments import Experiment
from firstlight.inference import Measured
from firstlight.kernels.lock import ForkedLock
from firstlight.members import Member
from firstlight.records.group_folder import GroupFolder
from firstlight.records.run_folder import RunFolder
from firstlight.trained_classifier import TrainedClassifier
from firstlight.trained_run import Run
from firstlight.types import Array, Dataset, Images, Predictions

if TYPE_CHECKING:
    from firstlight.export import Exportable

OUT_OF_FOLD = (
    "Each image is classified by the nets that were not trained on it, those of its fold: the accuracy is theirs, and "
    "not that of the mean of all nets, to which none of these images is new."
)


class Ensemble(TrainedClassifier):
    """Runs of one recipe as one classifier, which answers with the mean of the probabilities of their nets.

    It takes the time and the memory of as many nets as there are. Each prepares the images by its own statistics.
    Threads may share it, as a `Run`. An image counts as trained on where any of the nets was trained on it.
    """

    folder: GroupFolder

    def __init__(
        self,
        path: str | Path,
        *,
        engine: str | None = None,
        device: str | None = None,
        data: Dataset | str | Path | None = None,
        false_alarm_rate: float | None = None,
    ) -> None:
        """The runs in the folder `path` that have a result, such as those of a study's entry: STUDY/NAME.

        engine, device, data, false_alarm_rate  as for `Run`

        Raises RunError where there are none, or where they cannot answer together.
        """
        self.folder = GroupFolder.open(path)
        on: dict[str, Any] = {"engine": engine, "device": device, "data": data, "false_alarm_rate": false_alarm_rate}
        self.runs = tuple(Run(run.path, **on) for run in self.folder.runs)
        self._given = data
        self._making = ForkedLock()

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "runs": self.runs, "_given": self._given}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._making = ForkedLock()

    def __repr__(self) -> str:
        return f"Ensemble({str(self.path)!r})"

    def __len__(self) -> int:
        """How many nets there are."""
        return len(self.runs)

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def folders(self) -> tuple[RunFolder, ...]:
        return tuple(run.folder for run in self.runs)

    @property
    def members(self) -> tuple[Member, ...]:
        return tuple(member for run in self.runs for member in run.members)

    @property
    def task(self) -> Task:
        return self.runs[0].task

    @property
    def experiment(self) -> Experiment:
        return self.runs[0].experiment

    @property
    def predictions(self) -> dict[str, Predictions]:
        """Of the test images, made of what the runs recorded: the mean of their probabilities.

        Over folds, each image is answered by the nets of its fold alone. Raises DataError where an image that one net
        is tested on may be one that another was trained on.
        """
        return {"test": self._pooled("test", [run.predictions["test"] for run in self.runs])}

    @property
    def accuracy(self) -> float:
        """The share of right answers among `predictions`."""
        return float(self.predictions["test"].correct.mean())

    @property
    def test_accuracy(self) -> float | None:
        names = {frozenset(run.data.splits["test"].ids) for run in self.folders}
        return self.accuracy if len(names) == 1 else None

    def _exportable(self, data: Dataset | str | Path | None) -> Exportable:
        from firstlight.export import exportable_ensemble

        if len(self) == 1:
            return self.runs[0]._exportable(data)
        test = None
        if self.test_accuracy is not None:
            found = self.predictions["test"]
            loss = evaluation.negative_log_likelihood(found.probabilities, found.labels)
            test = evaluation.measure(found, self.class_names, loss, self.experiment.training.measured)
        return exportable_ensemble(self.folder, [run._exportable(data) for run in self.runs], test)

    def _images(self, data: Dataset | str | Path | None) -> Mapping[str, Images]:
        return self.runs[0]._images(data)

    def _renew_report(self) -> None:
        return

    def _evaluate_own(self, data: Dataset | str | Path | None, split: str) -> Measured:
        sets = self._sets(split)
        where = data if isinstance(data, Dataset) else experiments.reload_dataset(self.folders[0], data)
        found, losses = [], []
        for runs in sets:
            nets = [member for run in runs for member in run.members]
            measured, predictions = members.measure(nets, runs[0].own_images(where, split))
            found.append(predictions)
            losses.append(measured.loss)
        if len(sets) == 1:
            return Measured(measured, predictions)
        whole = _joined(found)
        loss = float(np.average(losses, weights=[len(one) for one in found]))
        pooled = evaluation.measure(whole, self.class_names, loss, self.experiment.training.measured)
        return Measured(pooled, whole, (OUT_OF_FOLD,))

    def _pooled(self, split: str, recorded: list[Predictions]) -> Predictions:
        """The answers of those runs to each image that have it in this split."""
        of = dict(zip(self.runs, recorded, strict=True))
        return _joined([evaluation.averaged([of[run] for run in runs]) for runs in self._sets(split)])

    def _sets(self, split: str) -> list[list[Run]]:
        """The runs by the images that they have in a split: all together, or as many as there are folds.

        Raises DataError where they have no such split, or some of the images in common and others not.
        """
        found: dict[frozenset[str], list[Run]] = {}
        for run in self.runs:
            splits = run.folder.data.splits
            if split not in splits:
                raise DataError(f"{run.path} has no split called {split!r}. {nearest(split, splits)}")
            found.setdefault(frozenset(splits[split].ids), []).append(run)
        if len(frozenset[str]().union(*found)) < sum(map(len, found)):
            raise DataError(
                f"The runs of {self.path} do not have the same {split} images, as each has a split of its own, and one "
                "was trained on what another was not. So the ensemble cannot be measured on its own images: give it "
                "new ones, as paths or by --data. With a data.split_seed, all seeds have one split."
            )
        return list(found.values())


def _joined(parts: list[Predictions]) -> Predictions:
    def joined(name: str) -> Array:
        return np.concatenate([getattr(part, name) for part in parts])

    strangeness = None if any(part.strangeness is None for part in parts) else joined("strangeness")
    return Predictions(joined("ids"), joined("labels"), joined("probabilities"), strangeness)
