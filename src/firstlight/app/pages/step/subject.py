"""What a step can be taken of: a run, a named architecture that has learnt nothing, or a preset of what goes wrong."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from firstlight import data
from firstlight.app import images as run_images
from firstlight.app.index import Index
from firstlight.app.server.errors import UnknownError
from firstlight.app.summary import READY, fingerprint
from firstlight.data import SOURCES
from firstlight.engines import Task
from firstlight.errors import ModelError
from firstlight.experiments import USUAL
from firstlight.losses import loss
from firstlight.models import ARCHITECTURES, Model, build
from firstlight.models.registry import default_shape
from firstlight.optimizers import optimizer
from firstlight.prepare import Preparation
from firstlight.prepare.strokes import SAMPLED, StrokeStyle
from firstlight.trained_run import Run
from firstlight.training_step import Course
from firstlight.training_step.opening import course
from firstlight.training_step.presets import PRESETS
from firstlight.types import Images

FIRST = "model-lenet5"  # what is shown until something else is asked for
DIGITS = "digits"  # embedded, so that there are always images
MODEL, PRESET = "model-", "preset-"  # how the value of a choice begins that is no run's id
LARGEST_SIDE = 64  # pixels: a net for larger images answers too slowly to be looked at
KEPT = 2000  # images of a set that can be chosen from


@dataclass(frozen=True)
class Option:
    """One that can be chosen: what the form sends, and what it shows."""

    value: str
    text: str


@dataclass(frozen=True, eq=False)
class Subject:
    """A net, with images to take a step on.

    run     whose weights it has; None for one that has learnt nothing
    images  prepared ones that can be chosen, and `note` says why they are not all
    train   prepared ones for an epoch; None where they cannot be had
    """

    title: str
    model: Model
    preparation: Preparation
    images: Images
    train: Images | None = None
    run: Run | None = None
    note: str = ""

    @cached_property
    def style(self) -> StrokeStyle:
        """What its images look like as drawings."""
        return StrokeStyle.of(self.images.take(np.arange(min(SAMPLED, len(self.images)))))

    def course(self, images: Images, over_train: bool) -> Course:
        """A course that shows steps on `images`, and takes them on these alone or on batches of the training images."""
        if self.run is not None:
            return self.run.step(images, train=over_train).course
        train = self.train if over_train else None
        task = Task(self.model, loss("cross-entropy"), self.preparation, optimizer("adam"))
        return course(task, images, name=self.title, train=train, batch_size=USUAL.training.batch_size)


def of(index: Index, chosen: str, source: str) -> Subject:
    """What a choice stands for. Raises UnknownError where it is none."""
    if chosen.startswith(MODEL):
        return of_architecture(chosen.removeprefix(MODEL), source)
    return of_run(index, chosen)


def version(index: Index, chosen: str) -> Hashable:
    """What changes when a run does, which may be trained again under its name; None for all else."""
    return None if chosen.startswith((MODEL, PRESET)) else fingerprint(index.entry(chosen).path)


def choices(index: Index) -> list[tuple[str, list[Option]]]:
    """Everything that can be chosen, in groups."""
    runs = [one for one in index.summaries_within()[0] if one.state in READY]
    groups = [
        ("Architectures, untrained", [Option(f"{MODEL}{name}", name) for name in architectures()]),
        ("Runs", [Option(one.id, f"{one.name} · {one.data}") for one in runs]),
        ("What goes wrong", [Option(f"{PRESET}{one.name}", one.title) for one in PRESETS.values()]),
    ]
    return [group for group in groups if group[1]]


def sources() -> list[Option]:
    """The named sets that are on this machine."""
    return [Option(name, source.title) for name, source in sorted(SOURCES.items()) if source.at_hand]


@cache
def architectures() -> tuple[str, ...]:
    """The named nets for images of at most LARGEST_SIDE pixels."""
    return tuple(name for name in ARCHITECTURES if max(default_shape(name)[0][:2]) <= LARGEST_SIDE)


def of_run(index: Index, key: str) -> Subject:
    """A run, on its test images. Raises RunError where its weights cannot be had."""
    run = index.opened(key)
    shown = run_images.shown(index, key, "test" if "test" in run.folder.data.splits else "validation")
    train = run_images.shown(index, key, "train").images if shown.source == "own" else None
    return Subject(run.folder.name, run.task.model, run.task.preparation, shown.images, train, run, shown.note)


def of_architecture(name: str, source: str) -> Subject:
    """A named net with initial weights, on images of a named set that is on this machine."""
    if name not in architectures():
        raise UnknownError(f"There is no architecture {name[:40]!r} to choose here.")
    if source not in SOURCES or not SOURCES[source].at_hand:
        raise UnknownError(f"There are no images {source[:40]!r} on this machine.")
    last: ModelError | None = None
    for side in _sides(name, source):
        train, test = _splits(source, side)
        preparation = Preparation.fit(train)
        try:
            model = build(name, preparation.input_shape, len(train.class_names))
        except ModelError as error:
            last = error
            continue
        return Subject(name, model, preparation, preparation.apply(test), preparation.apply(train))
    assert last is not None
    raise last


def _sides(name: str, source: str) -> Iterator[int | None]:
    """The sizes to try: the images' own, then the one that the net is usually shown with."""
    yield None
    yield default_shape(name)[0][0]


@cache
def _splits(source: str, side: int | None) -> tuple[Images, Images]:
    """Training images and others, at most KEPT of each."""
    dataset = data.load(source, size=side, progress=False)
    train = dataset.splits["train"]
    test = dataset.splits.get("test")
    if test is None:  # as many as can be chosen, from the end
        held = len(train) // 5
        return train.take(np.arange(len(train) - held)[:KEPT]), train.take(np.arange(len(train) - held, len(train)))
    return train.take(np.arange(min(KEPT, len(train)))), test.take(np.arange(min(KEPT, len(test))))
