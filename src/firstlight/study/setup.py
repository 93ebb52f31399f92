"""From an experiment to everything that training needs, before anything is written: data, preparation, model, task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from firstlight import data as data_
from firstlight.data import Findings
from firstlight.engines import Engine, Task, open_engine
from firstlight.errors import ModelError
from firstlight.models import Model
from firstlight.prepare import Preparation
from firstlight.study.experiment import Experiment
from firstlight.types import Dataset, Images, Json


@dataclass(frozen=True, eq=False)
class Setup:
    """An experiment with its images and its model, ready to train.

    splits    the prepared images: train, test, and validation unless none was asked for
    findings  what the checks of the data found
    """

    experiment: Experiment
    dataset: Dataset
    splits: Mapping[str, Images]
    findings: Findings
    task: Task
    engine: Engine

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
        return lines + self.findings.warnings()

    def data_record(self) -> Json:
        """What data.json says."""
        section = self.experiment.data
        return {
            "name": self.dataset.name,
            "source": section.source,
            "licence": self.dataset.licence,
            "homepage": self.dataset.homepage,
            "shape": list(self.train.shape),
            "class_names": list(self.dataset.class_names),
            "files": [vars(file) for file in self.dataset.files],
            "verified": self.dataset.verified,
            "set_aside": dict(self.dataset.set_aside),
            "splits": {
                name: {"images": len(images), "counts": images.counts.tolist(), "ids": images.ids.tolist()}
                for name, images in self.splits.items()
            },
            "how_split": self._how_split(),
            "checks": self.findings.to_json(),
            "warnings": self.warnings(),
        }

    def model_record(self) -> Json:
        """What model.json says: all that predict needs beside the weights."""
        return {
            **self.model.to_json(),
            "class_names": list(self.dataset.class_names),
            "preparation": self.task.preparation.to_json(),
            "loss": self.experiment.loss.model_dump(),
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
        return " ".join(parts)


def set_up(experiment: Experiment, dataset: Dataset | None = None, *, progress: bool = False) -> Setup:
    """Load, split, check and prepare the images (unless a dataset is given), and build the model for them.

    Raises DataError, ModelError or ExperimentError; nothing has been written by then.
    """
    section = experiment.data
    if dataset is None:
        dataset = data_.load(section.source, size=section.size, unverified=section.unverified, progress=progress)
    splits = data_.split(
        dataset, validation=section.validation, test=section.test, seed=experiment.seed, limit=section.limit
    )
    findings = data_.check(splits, dataset.set_aside)
    preparation = Preparation.fit(splits["train"], **experiment.prepare.model_dump())
    prepared = {name: preparation.apply(images) for name, images in splits.items()}
    model = _build_model(experiment, prepared["train"])
    task = Task(
        model,
        experiment.build_loss(),
        preparation,
        experiment.build_optimizer(),
        **experiment.penalty.model_dump(),
        seed=experiment.seed,
    )
    task.trained_layers()  # head, labels and loss must fit before the first step
    return Setup(experiment, dataset, prepared, findings, task, open_engine(experiment.engine, experiment.kernels))


def _build_model(experiment: Experiment, images: Images) -> Model:
    try:
        return experiment.build_model(images.shape, len(images.class_names))
    except ModelError as error:
        raise ModelError(f"{error}\nImages are resized with --set data.size=28, or size = 28 under [data].") from None


def model_tables(model: Model) -> dict[str, Any]:
    """The `[model]` table that builds `model` again."""
    from firstlight.models import ARCHITECTURES, build

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
