"""From an experiment to everything that training needs, before anything is written: data, preparation, model, task."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from firstlight import data as data_
from firstlight.data import Findings
from firstlight.engines import Engine, Task
from firstlight.errors import ExperimentError, ModelError
from firstlight.models import ARCHITECTURES, Model, build
from firstlight.prepare import Preparation
from firstlight.study import transfer
from firstlight.study.experiment import Experiment
from firstlight.study.transfer import Start
from firstlight.types import Dataset, Images, Json


@dataclass(frozen=True, eq=False)
class Setup:
    """An experiment with its images and its model, ready to train.

    splits    the prepared images: train, test, and validation unless none was asked for
    findings  what the checks of the data found
    start     the weights to start from, where they are not drawn
    seconds   that loading, splitting, checking and preparing took
    """

    experiment: Experiment
    dataset: Dataset
    splits: Mapping[str, Images]
    findings: Findings
    task: Task
    engine: Engine
    seconds: float
    start: Start | None = None

    @property
    def model(self) -> Model:
        return self.task.model

    @property
    def train(self) -> Images:
        return self.splits["train"]

    @property
    def validation(self) -> Images | None:
        return self.splits.get("validation")

    def warnings(self) -> list[str]:
        """What the user should know of the data before believing the numbers."""
        lines = []
        if not self.dataset.verified:
            names = ", ".join(file.name for file in self.dataset.files if not file.verified)
            lines.append(f"Not the published files: {names}. The numbers cannot be compared with published ones.")
        if self.start is not None:
            lines += self.start.notes
        return lines + self.findings.warnings()

    def data_record(self) -> Json:
        """What data.json says."""
        section = self.experiment.data
        return {
            "name": self.dataset.name,
            "source": section.source,
            "licence": self.dataset.licence,
            "homepage": self.dataset.homepage,
            "location": str(Path(self.dataset.origin).expanduser().resolve()) if self._own_files else "",
            "shape": list(self.train.shape),
            "class_names": list(self.train.class_names),
            "files": [vars(file) for file in self.dataset.files],
            "verified": self.dataset.verified,
            "set_aside": dict(self.dataset.set_aside),
            "splits": {
                name: {
                    "images": len(images),
                    "counts": images.counts.tolist(),
                    "sha256": images.digest,
                    "ids": images.ids.tolist(),
                }
                for name, images in self.splits.items()
            },
            "how_split": self._how_split(),
            "checks": self.findings.to_json(),
            "warnings": self.warnings(),
        }

    @property
    def _own_files(self) -> bool:
        """Whether the images are a user's own, read from a path."""
        return bool(self.dataset.origin) and self.dataset.origin not in data_.SOURCES

    def model_record(self) -> Json:
        """What model.json says: all that predict needs beside the weights."""
        return {
            **self.model.to_json(),
            "class_names": list(self.train.class_names),
            "preparation": self.task.preparation.to_json(),
            "loss": self.experiment.loss.model_dump(),
            **({"start": self.start.record} if self.start is not None else {}),
            "summary": [row.to_json() for row in self.model.summary()],
        }

    def _how_split(self) -> str:
        section, given = self.experiment.data, self.dataset.splits
        published = [name for name in ("validation", "test") if name in given]
        drawn = {"validation": section.validation, "test": section.test}
        parts = [f"The {' and '.join(published)} images are those that came with the data."] if published else []
        parts += [
            f"{fraction:.0%} of the other images were drawn for {name}, by seed and in proportion to the classes."
            for name, fraction in drawn.items()
            if name in self.splits and name not in given
        ]
        if section.limit is not None:
            parts.append(f"Only {len(self.train)} of the training images were used (data.limit).")
        if section.regroup:
            parts.append("The classes were put together anew after the split (data.regroup).")
        return " ".join(parts)


def set_up(
    experiment: Experiment,
    dataset: Dataset | None = None,
    splits: Mapping[str, Images] | None = None,
    *,
    begun: bool = False,
) -> Setup:
    """Load, split, check and prepare the images (those that are not given), and build the model for them.

    begun  whether a checkpoint has the weights, so that those to start from need not be there any more

    Raises DataError, ModelError or ExperimentError; nothing has been written by then.
    """
    began = time.perf_counter()
    section, course = experiment.data, experiment.training
    engine = experiment.open_engine()
    experiment.build_schedule().rates(0, 1, course.epochs, 1.0)  # a warm-up longer than the training is an error
    if dataset is None:
        dataset = data_.load(section.source, size=section.size, unverified=section.unverified)
    if splits is None:
        splits = data_.split(
            dataset, validation=section.validation, test=section.test, seed=experiment.seed, limit=section.limit
        )
        if section.regroup:
            splits = data_.regroup(splits, section.regroup)
    if "validation" not in splits and course.early_stopping is not None:
        raise ExperimentError(
            "training.early_stopping needs validation images to judge by, and data.validation is 0. "
            "Set data.validation, or leave early_stopping out."
        )
    findings = data_.check(splits, dataset.set_aside)
    preparation = Preparation.fit(splits["train"], **experiment.prepare.model_dump())
    prepared = {name: preparation.apply(images) for name, images in splits.items()}
    model = _build_model(experiment, prepared["train"])
    model = replace(model, frozen=transfer.frozen(model, experiment))
    task = Task(
        model,
        experiment.build_loss(),
        preparation,
        experiment.build_optimizer(),
        **experiment.penalty.model_dump(),
        seed=experiment.seed,
        lr_factors=experiment.optimizer.lr_factors,
        settled=transfer.settled(model, experiment),
        share_norms=experiment.weights.batchnorm == "sync",
    )
    task.trained_layers()  # head, labels and loss must fit before the first step
    start = None if begun else transfer.start(model, experiment, prepared)
    return Setup(experiment, dataset, prepared, findings, task, engine, time.perf_counter() - began, start)


def _build_model(experiment: Experiment, images: Images) -> Model:
    try:
        return experiment.build_model(images.shape, len(images.class_names))
    except ModelError as error:
        if "does not fit images" not in str(error):
            raise
        raise ModelError(f"{error}\nImages are resized with --set data.size=28, or size = 28 under [data].") from None


def model_tables(model: Model) -> dict[str, Any]:
    """The `[model]` table that builds `model` again."""
    model = replace(model, frozen=())
    if model.name in ARCHITECTURES and build(model.name, model.input_shape, model.classes, model.options) == model:
        return {"name": model.name, **model.options}
    return {"name": model.name, "layers": model.to_json()["layers"]}


def must_fit(model: Model, images: Images) -> None:
    """Raise ModelError where `model` was made for other images than these."""
    made = (model.input_shape, model.classes)
    needed = (images.shape, len(images.class_names))
    if made != needed:
        size, other = ("×".join(map(str, shape)) for shape in (made[0], needed[0]))
        raise ModelError(
            f"{model.name} was made for images of {size} in {made[1]} classes; these are {other} in {needed[1]}. "
            f"Give its name instead, as in fit({model.name!r}, …), or make it for them: "
            f"input_shape={needed[0]}, classes={needed[1]}."
        )
