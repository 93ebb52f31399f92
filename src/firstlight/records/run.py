"""One run as the report reads it: the only place that knows the keys of the run folder's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from firstlight.errors import DataError, RunError
from firstlight.evaluation import Evaluation
from firstlight.records.explanation import EXPLANATION, Explanation
from firstlight.records.explanation import read as read_explanation
from firstlight.records.run_folder import DATA, HISTORY, MODEL, REPORT, RESULT, RunFolder
from firstlight.text import display_names
from firstlight.types import SPLITS, Array, Images, Json, Predictions

T = TypeVar("T")


@dataclass(frozen=True)
class Layer:
    """A row of the model's table."""

    name: str
    type: str
    output_shape: tuple[int, ...]
    parameters: int
    trainable: int
    multiply_adds: int


@dataclass(frozen=True)
class Checks:
    """What the checks of the data found: numbers of images, by split and by pair of splits, and classes without any."""

    within: Mapping[str, int]
    across: Mapping[tuple[str, str], int]
    conflicting: int
    missing: Mapping[str, list[str]]


@dataclass(frozen=True, eq=False)
class RunRecord:
    """A finished run. Mandatory records are read at once; optional keys have a default.

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
        return str(self.run.result.get("model") or self.run.model.get("name", "model"))

    @property
    def data(self) -> str:
        return str(self.run.data.get("name", "images"))

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.test.class_names

    @property
    def report(self) -> Path | None:
        """The run's own report, where there is one."""
        path = self.run.path / REPORT
        return path if path.is_file() else None

    @cached_property
    def experiment(self) -> Json:
        return self.run.experiment

    @cached_property
    def experiment_text(self) -> str:
        return self.run.experiment_text

    def option(self, table: str, key: str, default: Any = None) -> Any:
        """The value of [table] key in the experiment."""
        value = self.experiment.get(table)
        return value.get(key, default) if isinstance(value, dict) else default

    # --- what came out

    @property
    def status(self) -> str:
        """One of "finished", "stopped early", "interrupted" and "diverged"."""
        return str(self.run.result.get("status", "finished"))

    @property
    def stopped_because(self) -> str:
        """Why training stopped before its end, in sentences, where that was recorded."""
        return str(self.run.result.get("stopped_because") or "")

    @property
    def measured_before(self) -> bool:
        """Whether the test images were read before its end too, when it was interrupted."""
        return bool(self.run.result.get("measured_before"))

    @property
    def epochs_run(self) -> int:
        return int(_in(self.run.result, "epochs", "run", len(self.history.get("epoch", ()))))

    @property
    def epochs_asked(self) -> int:
        return int(_in(self.run.result, "epochs", "asked", self.option("training", "epochs", self.epochs_run)))

    @property
    def best_epoch(self) -> int | None:
        """The best epoch by validation; None without validation, or where no epoch was completed."""
        best = _in(self.run.result, "epochs", "best")
        return int(best) if best and self.validation is not None else None

    @property
    def weights_epoch(self) -> int:
        """The epoch whose weights were kept and measured; 0 where training ended within the first one."""
        return int(_in(self.run.result, "epochs", "weights", self.epochs_run))

    @property
    def training_accuracy(self) -> float | None:
        """The accuracy on the training images in the epoch whose weights were kept, measured while it trained."""
        epoch = self.weights_epoch
        return float(self.history["accuracy"][epoch - 1]) if 0 < epoch <= len(self.history["accuracy"]) else None

    @property
    def restore_best(self) -> bool:
        """Whether the best weights by validation were asked for, not the last."""
        return bool(self.option("training", "restore_best", True))

    @property
    def kept_best(self) -> bool:
        """Whether the weights that were measured are those of the best epoch by validation."""
        return self.best_epoch is not None and self.weights_epoch == self.best_epoch

    @property
    def augmented(self) -> bool:
        """Whether training images were changed at random."""
        table = self.experiment.get("augment") or {}
        flips = any(table.get(name) for name in ("flip_horizontal", "flip_vertical"))
        return flips or any(isinstance(value, dict) and bool(value.get("p")) for value in table.values())

    @property
    def monitor(self) -> str:
        """What told good weights from bad, in words."""
        return str(self.option("training", "monitor", "validation")).replace("val_", "validation ")

    def parameters(self, which: str = "total") -> int:
        """The number of parameters: "total", "trainable" or "non_trainable"."""
        return int(_in(self.run.result, "parameters", which, 0))

    @property
    def multiply_adds(self) -> int:
        return int(self.run.result.get("multiply_adds") or sum(layer.multiply_adds for layer in self.layers))

    def seconds(self, part: str) -> float | None:
        """The time of one part: data, compile, train, evaluate, total."""
        value = _in(self.run.result, "seconds", part)
        return None if value is None else float(value)

    @property
    def images_per_second(self) -> float | None:
        value = self.run.result.get("images_per_second")
        return None if value is None else float(value)

    @cached_property
    def explanation(self) -> Explanation | None:
        """What `firstlight explain` found; None where it was not asked. Raises RunError where that is damaged."""
        found = read_explanation(self.run)
        if found is not None and found.class_names not in ((), self.run.class_names):
            raise RunError(
                f"{self.run.path / EXPLANATION} has other classes than the run. "
                f"Make it anew: firstlight explain {self.run.path}"
            )
        return found

    # --- the data

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (H, W, C) of a prepared image."""
        return tuple(self.run.data.get("shape") or self.run.model.get("input_shape") or ())

    @property
    def counts(self) -> dict[str, list[int]]:
        """Images per class, by split."""
        splits = self.run.data.get("splits", {})
        return {name: list(splits[name]["counts"]) for name in SPLITS if splits.get(name, {}).get("counts")}

    @property
    def before(self) -> tuple[tuple[str, ...], dict[str, list[int]]] | None:
        """The classes of the source and their images by split, where some were then left out or regrouped."""
        found = self.run.data.get("before")
        if not found:
            return None
        counts = found["counts"]
        return display_names(found["class_names"]), {name: list(counts[name]) for name in SPLITS if name in counts}

    @property
    def drawn(self) -> list[int]:
        """Images per class that an epoch draws of the training images, where sampling was balanced."""
        return list(self.run.data.get("drawn") or ())

    @property
    def class_weights(self) -> list[float]:
        """What the loss of a training image was multiplied by, for each class; none where nothing was."""
        return list(self.run.data.get("class_weights") or ())

    @property
    def how_split(self) -> str:
        return str(self.run.data.get("how_split", ""))

    @property
    def licence(self) -> str:
        return str(self.run.data.get("licence") or "")

    @property
    def source(self) -> str:
        return str(self.run.data.get("source") or self.data)

    @property
    def homepage(self) -> str:
        return str(self.run.data.get("homepage") or "")

    @property
    def unverified_files(self) -> list[str]:
        """Files that did not match their published checksum; empty where all did or none is published."""
        if self.run.data.get("verified", True):
            return []
        files = [str(f.get("name")) for f in self.run.data.get("files", []) if not f.get("verified", True)]
        return files or ["the source"]

    @property
    def set_aside(self) -> dict[str, str]:
        """Files that could not be read: path -> reason."""
        return dict(self.run.data.get("set_aside") or {})

    @property
    def checks(self) -> Checks:
        found = self.run.data.get("checks") or {}
        across, missing = {}, found.get("missing_classes") or {}
        for pair, n in (found.get("duplicates_across") or {}).items():
            first, _, second = str(pair).partition("-")
            across[first, second] = int(n)
        return Checks(
            within={str(split): int(n) for split, n in (found.get("duplicates_within") or {}).items()},
            across=across,
            conflicting=int(found.get("conflicting_labels") or 0),
            missing={str(split): list(display_names(names)) for split, names in missing.items()},
        )

    # --- the model and the machine

    @cached_property
    def layers(self) -> list[Layer]:
        return [
            Layer(
                name=str(row.get("name", "")),
                type=str(row.get("type", "")),
                output_shape=tuple(row.get("output_shape") or ()),
                parameters=int(row.get("parameters") or 0),
                trainable=int(row.get("trainable", row.get("parameters")) or 0),
                multiply_adds=int(row.get("multiply_adds") or 0),
            )
            for row in self.run.model.get("summary", [])
        ]

    @property
    def environment(self) -> Json:
        return self.run.environment

    @property
    def machine(self) -> Json:
        return dict(self.environment.get("machine") or {})


def read(run: RunFolder) -> RunRecord:
    """Read what a report needs. Raises RunError where the run has no result, or one of its files lacks something."""
    result = run.result
    predictions = run.predictions.get("test")
    if predictions is None:
        raise RunError(f"{run.path} has no evaluation of test images, so there is nothing to report.")
    test = _evaluation(run, result["test"])
    _check_classes(run, test.class_names)
    _ = run.environment  # a damaged one is told now, not in the middle of a page
    _ = run.experiment
    if len(predictions) != test.images:
        raise RunError(
            f"{run.path}: {RESULT} counts {test.images} test images and the predictions are of {len(predictions)}. "
            "The files belong to different runs."
        )
    validation = _evaluation(run, result["validation"]) if result.get("validation") else None
    for column in ("epoch", "loss", "accuracy", *(("val_loss", "val_accuracy") if validation else ())):
        if column not in run.history:
            raise RunError(f"{run.path / HISTORY} is damaged: it has no column {column!r}.")
    shown = display_names(test.class_names)
    return RunRecord(
        run=run,
        test=replace(test, class_names=shown),
        validation=validation and replace(validation, class_names=shown),
        predictions=predictions,
        samples=run.samples,
        history=run.history,
    )


def _check_classes(run: RunFolder, class_names: tuple[str, ...]) -> None:
    for name, record in ((DATA, run.data), (MODEL, run.model)):
        if tuple(record["class_names"]) != class_names:
            raise RunError(
                f"{run.path}: the class_names of {name} are not those of {RESULT}. The files belong to different runs."
            )


def _evaluation(run: RunFolder, value: Json) -> Evaluation:
    try:
        return Evaluation.from_json(value)
    except DataError as error:
        raise RunError(f"{run.path / RESULT} is damaged. {error}") from None


def _in(record: Json, table: str, key: str, default: Any = None) -> Any:
    value = record.get(table)
    return value.get(key, default) if isinstance(value, dict) else default
