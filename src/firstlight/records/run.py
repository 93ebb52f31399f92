"""A finished run as reports, notebooks and the dashboard read it: its records, checked against one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from firstlight.errors import DamagedFileError, RunError
from firstlight.evaluation import Evaluation
from firstlight.evaluation.metrics import in_words
from firstlight.records import exports
from firstlight.records.environment import Environment, Machine
from firstlight.records.experiment import Chance, ExperimentRecord
from firstlight.records.explanation import EXPLANATION, Explanation
from firstlight.records.explanation import read as read_explanation
from firstlight.records.exports import ExportRecord, State
from firstlight.records.images import Checks, GroupsRecord
from firstlight.records.model import LayerRecord
from firstlight.records.novelty import NoveltyRecord
from firstlight.records.novelty import read as read_novelty
from firstlight.records.result import Result, Status
from firstlight.records.run_folder import DATA, HISTORY, MODEL, REPORT, RESULT, RunFolder
from firstlight.text import display_names
from firstlight.types import SPLITS, Array, Images, MixedImages, Predictions


@dataclass(frozen=True, eq=False)
class RunRecord:
    """A finished run. Mandatory records are read at once.

    Names of classes are as they are shown: printable and not too long.
    """

    run: RunFolder
    test: Evaluation
    validation: Evaluation | None
    predictions: Predictions
    samples: Mapping[str, Images]
    history: Mapping[str, Array]

    # --- identity

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def model(self) -> str:
        return self.result.model or self.run.model.name

    @property
    def data(self) -> str:
        return self.run.data.name

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.test.class_names

    @property
    def report(self) -> Path | None:
        """The run's own report, where there is one."""
        path = self.run.path / REPORT
        return path if path.is_file() else None

    @property
    def experiment(self) -> ExperimentRecord:
        return self.run.experiment

    @cached_property
    def experiment_text(self) -> str:
        return self.run.experiment_text

    # --- what came out

    @property
    def result(self) -> Result:
        return self.run.result

    @property
    def status(self) -> Status:
        return self.result.status

    @property
    def stopped_because(self) -> str:
        """Why training stopped before its end, in sentences, where that was recorded."""
        return self.result.stopped_because

    @property
    def measured_before(self) -> bool:
        """Whether the test images were read before its end too, when it was interrupted."""
        return self.result.measured_before

    @property
    def epochs_run(self) -> int:
        return self.result.epochs.run

    @property
    def epochs_asked(self) -> int:
        """As the result has it, or the experiment, where an earlier version did not record it."""
        asked, wanted = self.result.epochs.asked, self.experiment.training.epochs
        return asked if asked is not None else self.epochs_run if wanted is None else wanted

    @property
    def best_epoch(self) -> int | None:
        """The best epoch by validation; None without validation, or where no epoch was completed."""
        return self.result.epochs.best or None if self.validation is not None else None

    @property
    def weights_epoch(self) -> int:
        """The epoch whose weights were kept and measured; 0 where training ended within the first one."""
        kept = self.result.epochs.weights
        return self.epochs_run if kept is None else kept

    @property
    def training_accuracy(self) -> float | None:
        """The accuracy on the training images in the epoch whose weights were kept, measured while it trained."""
        epoch = self.weights_epoch
        return float(self.history["accuracy"][epoch - 1]) if 0 < epoch <= len(self.history["accuracy"]) else None

    @property
    def restore_best(self) -> bool:
        """Whether the best weights by validation were asked for, not the last."""
        return self.experiment.training.restore_best

    @property
    def kept_best(self) -> bool:
        """Whether the weights that were measured are those of the best epoch by validation."""
        return self.best_epoch is not None and self.weights_epoch == self.best_epoch

    @property
    def augmented(self) -> bool:
        """Whether training images were changed at random."""
        table = self.experiment.augment
        flips = any(table.get(name) for name in ("flip_horizontal", "flip_vertical"))
        return flips or any(_happens(value) for value in table.values())

    @property
    def mixed(self) -> bool:
        """Whether training images were mixed with others, and their labels with them."""
        return isinstance(self.samples.get("augmented"), MixedImages)

    @property
    def monitor(self) -> str:
        """What told good weights from bad, in words."""
        return in_words(self.experiment.training.monitor)

    @property
    def numbers(self) -> dict[str, float | None]:
        """The recorded numbers that are shown, by their places in the result; None for what was not recorded."""
        return self.result.numbers | {"multiply_adds": self.multiply_adds}

    def parameters(self, which: Literal["total", "trainable", "non_trainable"] = "total") -> int:
        counts = self.result.parameters
        return {"total": counts.total, "trainable": counts.trainable, "non_trainable": counts.non_trainable}[which]

    def seconds(self, part: Literal["data", "compile", "train", "evaluate", "total"]) -> float | None:
        """The time of one part; None where it was not recorded."""
        found: float | None = getattr(self.result.seconds, part)
        return found

    @property
    def multiply_adds(self) -> int:
        return self.result.multiply_adds or sum(layer.multiply_adds for layer in self.layers)

    @cached_property
    def explanation(self) -> Explanation | None:
        """What `firstlight explain` found; None where it was not asked. Raises RunError where that is damaged."""
        found = read_explanation(self.run)
        if found is not None and found.class_names not in ((), self.run.class_names):
            raise RunError(
                f"{self.run.path / EXPLANATION} has other classes than the run. "
                f"Make it again: firstlight explain {self.run.path}"
            )
        return found

    @cached_property
    def novelty(self) -> NoveltyRecord | None:
        """What tells images of none of the classes; None of an earlier version. Raises RunError where damaged."""
        return read_novelty(self.run)

    @cached_property
    def exports(self) -> tuple[tuple[ExportRecord, State], ...]:
        """The files that the model was exported to, and what became of them since. Raises RunError where damaged."""
        return tuple((one, exports.state(self.run, one)) for one in exports.read(self.run))

    # --- the data

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape (H, W, C) of a prepared image."""
        return self.run.data.shape or self.run.model.input_shape

    @property
    def counts(self) -> dict[str, list[int]]:
        """Images per class, by split."""
        splits = self.run.data.splits
        return {name: list(splits[name].counts) for name in SPLITS if name in splits}

    @property
    def before(self) -> tuple[tuple[str, ...], dict[str, list[int]]] | None:
        """The classes of the source and their images by split, where some were then left out or regrouped."""
        found = self.run.data.before
        if found is None:
            return None
        counts = {name: list(found.counts[name]) for name in SPLITS if name in found.counts}
        return display_names(found.class_names), counts

    @property
    def drawn(self) -> list[int]:
        """Images per class that an epoch draws of the training images, where sampling was balanced."""
        return list(self.run.data.drawn or ())

    @property
    def class_weights(self) -> list[float]:
        """What the loss of a training image was multiplied by, for each class; none where nothing was."""
        return list(self.run.data.class_weights or ())

    @property
    def groups(self) -> GroupsRecord | None:
        """The groups that no split divides, such as patients; None where images have none."""
        return self.run.data.groups

    @property
    def doubtful_groups(self) -> tuple[str, ...]:
        """In sentences: that groups allow no even split, or that images look as if they were of groups."""
        return self.run.data.doubtful_groups

    @property
    def how_split(self) -> str:
        return self.run.data.how_split

    @property
    def licence(self) -> str:
        return self.run.data.licence or ""

    @property
    def source(self) -> str:
        return self.run.data.source

    @property
    def homepage(self) -> str:
        return self.run.data.homepage or ""

    @property
    def unverified_files(self) -> list[str]:
        """Files that did not match their published checksum; empty where all did or none is published."""
        if self.run.data.verified:
            return []
        return [file.name for file in self.run.data.files if not file.verified] or ["the source"]

    @property
    def set_aside(self) -> Mapping[str, str]:
        """Files that could not be read: path -> reason."""
        return self.run.data.set_aside

    @property
    def checks(self) -> Checks:
        """What the checks of the data found; names of classes are as they are shown."""
        found = self.run.data.checks
        missing = {split: display_names(names) for split, names in found.missing.items()}
        return replace(found, missing=missing)

    # --- the model and the machine

    @property
    def layers(self) -> tuple[LayerRecord, ...]:
        return self.run.model.summary

    @property
    def environment(self) -> Environment:
        return self.run.environment

    @property
    def machine(self) -> Machine:
        return self.environment.machine


def read(run: RunFolder) -> RunRecord:
    """Read what a report needs. Raises RunError where the run has no result, or one of its files lacks something."""
    result = run.result
    predictions = run.predictions.get("test")
    if predictions is None:
        raise RunError(f"{run.path} has no evaluation of test images, so there is nothing to report.")
    test = result.test.evaluation
    for name, class_names in ((DATA, run.data.class_names), (MODEL, run.model.class_names)):
        if class_names != test.class_names:
            raise RunError(
                f"{run.path}: the class_names of {name} are not those of {RESULT}. The files belong to different runs."
            )
    _ = run.environment  # a damaged one is told now, not in the middle of a page
    _ = run.experiment
    if len(predictions) != test.images:
        raise RunError(
            f"{run.path}: {RESULT} counts {test.images} test images and the predictions are of {len(predictions)}. "
            "The files belong to different runs."
        )
    validation = result.validation.evaluation if result.validation else None
    for column in ("epoch", "loss", "accuracy", *(("val_loss", "val_accuracy") if validation else ())):
        if column not in run.history:
            raise DamagedFileError(f"{run.path / HISTORY} is damaged: it has no column {column!r}.")
    shown = display_names(test.class_names)
    return RunRecord(
        run=run,
        test=replace(test, class_names=shown),
        validation=validation and replace(validation, class_names=shown),
        predictions=predictions,
        samples=run.samples,
        history=run.history,
    )


def _happens(kind: object) -> bool:
    """Whether a kind of augmentation can happen to an image."""
    if isinstance(kind, Mapping):
        return bool(kind.get("p", 1.0))
    return isinstance(kind, Chance) and kind.p > 0
