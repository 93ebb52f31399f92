"""From an experiment to everything that training needs, before anything is written: data, preparation, model, task."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from firstlight import memory
from firstlight.cautions import Caution
from firstlight.data import SOURCES, Findings, Guess, NearCopies, group_by_name, guess, hold_out, pooled
from firstlight.data import check as check_images
from firstlight.data import split as split_images
from firstlight.data.corrections import must_fit as must_fit_images
from firstlight.data.store import told as where_mapped
from firstlight.data.stratification import Balance
from firstlight.engines import Engine, Task
from firstlight.errors import DataError, ExperimentError, ModelError, ShapeError
from firstlight.experiments import corrections, near_copies, transfer, whitening
from firstlight.experiments.config import Experiment
from firstlight.experiments.corrections import Corrections
from firstlight.experiments.lineage import packed
from firstlight.experiments.metrics import must_be_measurable
from firstlight.experiments.transfer import Start
from firstlight.models import ARCHITECTURES, Model, build
from firstlight.prepare import Preparation, class_weights
from firstlight.prepare.augmentation import FLIPS
from firstlight.prepare.augmentations import Ranged
from firstlight.records.codec import decode, encode
from firstlight.records.images import (
    Checks,
    ClassesBefore,
    CorrectionsRecord,
    FileRecord,
    GroupsRecord,
    ImagesRecord,
    SplitRecord,
)
from firstlight.records.model import ModelRecord
from firstlight.text import listed
from firstlight.types import Dataset, Images, is_text

UPRIGHT = 45  # degrees


@dataclass(frozen=True, eq=False)
class Setup:
    """An experiment with its images and its model, ready to train.

    splits    the prepared images: train, test, and validation unless none was asked for
    findings  what the checks of the data found
    start     the weights to start from, where they are not drawn
    published names of the splits that came with the data, where there are several and they were put together
    before    images per class in each split before some were left out or regrouped; empty where none were
    drawn     images per class in each split as they were drawn, before corrections too; empty where none were drawn
    corrections  of labels, as the run's record has them, where they were applied here
    near         the near copies of the dataset; None where they were not looked for
    looked       whether they were to be looked for
    dropped      the ids of images that were left out, as a later split has a copy of them, by split
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
    before: Mapping[str, list[int]] = field(default_factory=dict)
    corrections: CorrectionsRecord | None = None
    published: tuple[str, ...] = ()
    near: NearCopies | None = None
    looked: bool = False
    dropped: Mapping[str, Sequence[str]] = field(default_factory=dict)
    drawn: Mapping[str, list[int]] = field(default_factory=dict)

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
            lines.append(
                Caution.UNVERIFIED_FILES.text(
                    f"Not the published files: {names}. The numbers cannot be compared with published ones."
                )
            )
        if self.start is not None:
            lines += self.start.notes
        if self.experiment.data.folds and "test" in self.published:
            lines.append(
                Caution.PUBLISHED_TEST_IN_FOLDS.text(
                    f"data.folds: the {listed(self.published)} images of {self.dataset.name} are pooled, so its "
                    "published test images are trained on in other folds: the accuracy is not comparable with "
                    "published ones. To compare with these, use several seeds instead of folds."
                )
            )
        lines += self.dataset.notes
        if (groups := self.findings.groups) is not None:
            lines.append(f"Images are kept together by {self._grouped_by}: {groups.sizes}.")
        lines += self._doubtful_groups()
        if said := near_copies.summary(self.dropped, self.splits):
            lines.append(said)
        if self.near is None and self.looked:
            lines.append(near_copies.not_looked_for(self.dataset))
        return lines + self.findings.warnings() + self._corrected() + self._repeats() + self._misleading()

    def data_record(self) -> ImagesRecord:
        """What data.json says."""
        section, labels = self.experiment.data, self.train.labels
        balanced = self.task.sampling == "balanced"
        if balanced:
            labels = labels[self.task.order(self.train, 0, self.experiment.training.batch_size)]
        height, width, channels = self.train.shape
        counts = {split: tuple(numbers) for split, numbers in self.before.items()}
        weights = self.task.class_weights
        return ImagesRecord(
            name=self.dataset.name,
            source=section.source,
            licence=self.dataset.licence,
            homepage=self.dataset.homepage,
            location=self.location,
            shape=(height, width, channels),
            class_names=self.train.class_names,
            files=tuple(FileRecord(**vars(file)) for file in self.dataset.files),
            verified=self.dataset.verified,
            set_aside=self.dataset.set_aside,
            notes=tuple(self.dataset.notes),
            splits={name: split_record(images) for name, images in self.splits.items()},
            before=ClassesBefore(class_names=self.dataset.class_names, counts=counts) if counts else None,
            corrections=self.corrections,
            copies_dropped={name: tuple(ids) for name, ids in self.dropped.items()},
            class_weights=None if weights is None else tuple(weights.tolist()),
            drawn=tuple(np.bincount(labels, minlength=len(self.train.class_names)).tolist()) if balanced else None,
            groups=self._groups_record(),
            doubtful_groups=tuple(self._doubtful_groups()),
            how_split=self._how_split(),
            checks=decode(Checks, self.findings.to_json()),
            warnings=tuple(self.warnings()),
        )

    @property
    def location(self) -> str:
        """Where a user's own images are, or ""."""
        return str(Path(self.dataset.origin).expanduser().resolve()) if self._own_files else ""

    @property
    def _own_files(self) -> bool:
        """Whether the images are a user's own, read from a path."""
        return bool(self.dataset.origin) and self.dataset.origin not in SOURCES

    def model_record(self) -> ModelRecord:
        """What model.json says."""
        record = {
            **self.model.to_json(),
            "class_names": self.train.class_names,
            "preparation": self.task.preparation.to_json(),
            "loss": self.experiment.loss.model_dump(),
            "summary": encode(self.model.summary()),
        }
        return replace(decode(ModelRecord, record), start=None if self.start is None else self.start.record)

    @property
    def _grouped_by(self) -> str:
        told = [f"{self.dataset.grouped_by} (data.group)"] if self.dataset.group else []
        told += [near_copies.TOLD] if self.experiment.data.near_copies == "group" else []
        return listed(told) or "the groups that came with them"

    @property
    def _drawn(self) -> dict[str, float]:
        """The splits that were drawn, and the share of the training images that each was to have."""
        section = self.experiment.data
        asked = {"validation": section.validation, "test": section.test}
        if section.folds:
            held = 1 / section.folds
            asked = {"validation": section.validation * (1 - held), "test": held}
        return {name: share for name, share in asked.items() if name in self.splits and name not in self.dataset.splits}

    @cached_property
    def balance(self) -> Balance | None:
        """How well splits that were drawn in groups are stratified; None where images have no groups."""
        whole = self.dataset.splits["train"]
        counts = self.drawn or {name: images.counts.tolist() for name, images in self.splits.items()}
        if self.findings.groups is None or any(len(one) != len(whole.class_names) for one in counts.values()):
            return None
        return Balance.of(whole, counts, self._drawn)

    def _groups_record(self) -> GroupsRecord | None:
        groups, balance = self.findings.groups, self.balance
        if groups is None:
            return None
        drawn = {} if balance is None else {"asked": dict(balance.asked), "classes": dict(balance.classes)}
        return decode(GroupsRecord, {"by": self._grouped_by, **groups.to_json(), **drawn})

    def _how_split(self) -> str:
        section, given = self.experiment.data, self.dataset.splits
        published = [name for name in ("validation", "test") if name in given]
        balance = self.balance
        how = "by seed and in proportion to the classes" if balance is None else "by seed, in whole groups"
        parts = [f"The {listed(published)} images are those that came with the data."] if published else []
        if section.folds and self.published:
            parts.append(f"The {listed(self.published)} images that came with the data were pooled.")
        elif section.pool:
            parts.append("The splits that came with the data were pooled (data.pool).")
        these = "the other images" if published else "the images"
        for name, fraction in self._drawn.items():
            has = "." if balance is None else f": it has {balance.said(name)}."
            if section.folds and name == "test":
                parts.append(f"The test split is fold {section.fold} of {section.folds} of all images, {how}{has}")
            else:
                parts.append(f"{fraction:.0%} of {these} were drawn for {name}, {how}{has}")
        if balance is not None:
            parts.append(f"Images were kept together by {self._grouped_by}.")
        if section.limit is not None:
            parts.append(f"Only {len(self.train)} of the training images were used (data.limit).")
        if self.corrections is not None:
            parts.append(corrections.summary(self.corrections))
        parts.append(near_copies.summary(self.dropped, self.splits))
        if section.classes:
            parts.append("Images of other classes were left out after the split (data.classes).")
        if section.regroup:
            parts.append("The classes were regrouped after the split (data.regroup).")
        return " ".join(filter(None, parts))

    def _corrected(self) -> list[str]:
        """What corrections make of the test images, and of numbers that were measured on them before."""
        if self.corrections is None or not (said := corrections.summary(self.corrections)):
            return []
        changed = self.corrections.changed("test")
        others = (
            " An accuracy on the test images with their old labels is not comparable with this one; firstlight compare "
            "shows both."
        )
        return [Caution.CORRECTED_TEST_LABELS.text(f"{said}{others}") if changed else said]

    def _doubtful_groups(self) -> list[str]:
        """That groups allow no even split, or that images look as if they belonged together and no groups were told."""
        balance, found = self.balance, self._guess
        if found is None or not found.sure:
            return [] if balance is None else balance.warnings()
        divided = {name: found.divided(self.train, part) for name, part in self.splits.items() if name != "train"}
        apart = listed(f"{n:,} of {len(self.splits[name]):,} {name} images" for name, n in divided.items() if n)
        also = f" As it is, {apart} are of a series that is also trained on." if apart else ""
        return [Caution.LIKELY_GROUPS.text(f"{found.said()}{also}")]

    @cached_property
    def _guess(self) -> Guess | None:
        if not self._own_files or self.experiment.data.group is not None:
            return None
        plain = {name: replace(images, groups=None) for name, images in self.dataset.splits.items()}
        return guess(replace(self.dataset, splits=plain))

    def _misleading(self) -> list[str]:
        """What augmentation makes of written characters, which mean something else when they are mirrored or turned."""
        augmentation = self.task.augmentation
        source = SOURCES.get(self.dataset.name)
        written = (source and source.written) or all(len(name) == 1 for name in self.dataset.class_names)
        if not augmentation or not written:
            return []
        lines = []
        flips = [name for name in (*FLIPS, "alternating_flip") if (flip := augmentation.get(name)) and flip.p]
        if flips:
            lines.append(
                Caution.WRITTEN_CHARACTERS.text(
                    f"augment.{' and augment.'.join(flips)}: the images show written characters, and a mirrored 2 is "
                    "no 2. The model is likely to be better without."
                )
            )
        turned, wide = augmentation.get("rotate"), augmentation.get("trivial_augment")
        for name, turns in (
            ("rotate", isinstance(turned, Ranged) and max(-turned.low, turned.high) > UPRIGHT),
            ("trivial_augment.wide", getattr(wide, "wide", False)),
        ):
            if not turns:
                continue
            lines.append(
                Caution.WRITTEN_CHARACTERS.text(
                    f"augment.{name}: the images show written characters, and a 6 turned by more than {UPRIGHT} "
                    "degrees looks like a 9. The model is likely to be better with a smaller range."
                )
            )
        return lines

    def _repeats(self) -> list[str]:
        """What balanced sampling does to the rarest class and to the most frequent one."""
        counts = self.train.counts
        if self.task.sampling != "balanced":
            return []
        names, share = self.train.class_names, counts.sum() / np.count_nonzero(counts)
        rarest, commonest = int(np.where(counts, counts, counts.max()).argmin()), int(counts.argmax())
        return [
            f"Balanced sampling: an epoch takes each of the {counts[rarest]:,} training images of {names[rarest]}, the "
            f"rarest class, {share / counts[rarest]:.1f} times, and {min(1.0, share / counts[commonest]):.0%} of those "
            f"of {names[commonest]}, the most frequent."
        ]


def split_record(images: Images) -> SplitRecord:
    """What data.json says of a split of prepared images."""
    return SplitRecord(
        images=len(images),
        counts=tuple(images.counts.tolist()),
        sha256=images.digest,
        pixels=packed(images),
        ids=tuple(images.ids.tolist()),
        groups=None if images.groups is None else tuple(images.groups.tolist()),
    )


def set_up(
    experiment: Experiment,
    dataset: Dataset | None = None,
    splits: Mapping[str, Images] | None = None,
    *,
    begun: bool = False,
    without: Collection[str] = (),
    look: bool = True,
    tell: Callable[[str], None] | None = None,
) -> Setup:
    """Load, split, check and prepare the images (those that are not given), and build the model for them.

    begun    whether a checkpoint has the weights, so that those to start from need not be there any more
    without  splits that are left aside: a trial of a search never sees the test images
    look     whether near copies are looked for even where nothing is done about them but to tell
    tell     is told of what takes a while

    Raises DataError, ModelError or ExperimentError; nothing has been written by then.
    """
    began = time.perf_counter()
    section, course = experiment.data, experiment.training
    engine = experiment.open_engine()
    experiment.build_schedule().rates(0, 1, course.epochs, 1.0)  # a warm-up longer than the training is an error
    table = Corrections.read(section.corrections) if section.corrections and splits is None else None
    if dataset is None:
        dataset = section.load()
    elif section.group is not None and section.group != dataset.group and splits is None:
        dataset = group_by_name(dataset, section.group)
    if tell is not None and (said := where_mapped(dataset.splits["train"].pixels)):
        tell(said)
    own = dataset.origin and dataset.origin not in SOURCES
    if own and not is_text(str(Path(dataset.origin).expanduser().resolve())):
        raise DataError(
            f"{dataset.name}: the images lie in a folder whose name is not in UTF-8, which the records of a run cannot "
            "hold. Rename it."
        )
    published: tuple[str, ...] = ()
    if section.pool or section.folds:
        published = tuple(dataset.splits) if len(dataset.splits) > 1 else ()
        dataset = pooled(dataset)
    if table is not None:
        must_fit_images(dataset, table.rows, str(table.path))
    near = near_copies.look(dataset, section, tell) if look or section.near_copies != "warn" else None
    before: dict[str, list[int]] = {}
    drawn: dict[str, list[int]] = {}
    record = None
    dropped: dict[str, list[str]] = {}
    if splits is None:
        dataset = near_copies.kept_together(dataset, section, near)
        splits = drawn_splits(experiment, dataset)
        drawn = {name: images.counts.tolist() for name, images in splits.items()}
        if table is not None:
            splits, record = table.applied(splits)
        if section.used:
            before = {name: images.counts.tolist() for name, images in splits.items()}
        splits, dropped = near_copies.left_out(section.relabelled(splits), section, near)
    splits = {name: images for name, images in splits.items() if name not in without}
    if "validation" not in splits and course.early_stopping is not None:
        raise ExperimentError(
            "training.early_stopping needs validation images, and data.validation is 0. Set data.validation, or leave "
            "early_stopping out."
        )
    if course.steps_per_epoch is not None and course.batch_size > len(splits["train"]):
        raise ExperimentError(
            f"training.steps_per_epoch takes full batches, and there are {len(splits['train'])} training images for "
            f"batches of {course.batch_size}. Choose a smaller training.batch_size, or leave steps_per_epoch out."
        )
    must_be_measurable(course.measured, splits)
    findings = check_images(splits, dataset.set_aside, near)
    preparation = Preparation.fit(splits["train"], **experiment.prepare.model_dump())
    prepared = {name: preparation.apply(images) for name, images in splits.items()}
    model = _build_model(experiment, prepared["train"])
    model = replace(model, frozen=transfer.frozen(model, experiment))
    augmentation = experiment.build_augmentation()
    task = Task(
        model,
        experiment.build_loss(),
        preparation,
        experiment.build_optimizer(),
        **experiment.penalty.model_dump(),
        seed=experiment.seed,
        lr_factors=experiment.optimizer.lr_factors,
        running_stats=transfer.running_stats(model, experiment),
        share_norms=experiment.weights.batchnorm == "sync",
        class_weights=class_weights(experiment.loss.class_weights, prepared["train"]),
        sampling=course.sampling,
        steps_per_epoch=course.steps_per_epoch,
        augmentation=augmentation,
        average=experiment.build_average(),
    )
    augmentation.check(prepared["train"])
    task.trained_layers()  # head, labels and loss must fit before the first step
    _must_fit_memory(experiment, model, len(splits["train"]))
    start = None if begun else transfer.start(model, experiment, splits, dataset.files)
    if experiment.weights.whiten and not begun:
        start = whitening.start(model, preparation, prepared["train"], experiment.seed)
    seconds = time.perf_counter() - began
    told = (start, before, record, published, near, look, dropped, drawn)
    return Setup(experiment, dataset, prepared, findings, task, engine, seconds, *told)


def drawn_splits(experiment: Experiment, dataset: Dataset) -> dict[str, Images]:
    """The images by split, one fold held out where the experiment is of one, before anything is done to any of them.

    Raises DataError where they cannot be shared out as the experiment asks.
    """
    section = experiment.data
    seed = experiment.seed if section.split_seed is None else section.split_seed
    if section.folds and section.fold:
        dataset = hold_out(dataset, section.folds, section.fold, seed, section.used)
    return split_images(
        dataset,
        validation=section.validation,
        test=section.test,
        seed=seed,
        limit=section.limit,
        classes=section.used,
    )


def _must_fit_memory(experiment: Experiment, model: Model, images: int) -> None:
    """Raise ExperimentError where a step needs more memory than the machine has, by an estimate that is too low.

    Weights and gradients are held at once, and what every layer gives for every image of a batch. Of a graphics card's
    memory nothing is known here.
    """
    if experiment.engine != "numpy" and experiment.device != "cpu":
        return
    here = memory.total()
    given = sum(math.prod(row.output_shape) for row in model.summary())
    batch = min(experiment.training.batch_size, images)
    needed = (8 if experiment.precision == "float64" else 4) * (2 * model.parameters + batch * given)
    if needed > here:
        raise ExperimentError(
            f"A step of {model.name} with {batch:,} images needs {needed / 2**30:,.0f} GiB of memory or more: "
            f"{model.parameters:,} parameters, and {given:,} numbers per image. This machine has "
            f"{here / 2**30:,.0f} GiB. Make training.batch_size, the images (data.size) or the layers smaller."
        )


def _build_model(experiment: Experiment, images: Images) -> Model:
    try:
        return experiment.build_model(images.shape, len(images.class_names))
    except ShapeError as error:
        text = f"{error}\nImages are resized with --set data.size=28, or size = 28 under [data]."
        raise ShapeError(text, shape=error.shape) from None


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
            f"{model.name} was built for images of {size} in {made[1]} classes; these are {other} in {needed[1]}. "
            f"Give its name instead, as in fit({model.name!r}, …), or make it for them: "
            f"input_shape={needed[0]}, classes={needed[1]}."
        )
