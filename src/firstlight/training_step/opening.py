"""From an architecture and images to the first step of a course."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from firstlight import losses, models, optimizers
from firstlight.data import load as load_images
from firstlight.engines import Task
from firstlight.errors import DataError, ExperimentError, nearest
from firstlight.models import Model
from firstlight.prepare import Preparation, outside_image
from firstlight.training_step.course import Course
from firstlight.types import Array, Dataset, Images

MOST = 512  # images that a step is shown on: every number of the net lies in memory for all of them


def course_of_model(
    model: Model | str,
    images: Any,
    labels: Any = None,
    *,
    train: Any = None,
    optimizer: str | optimizers.Optimizer = "adam",
    lr: float | None = None,
    loss: str | losses.Loss = "cross-entropy",
    batch_size: int = 64,
    seed: int = 0,
) -> Course:
    """A course of an architecture from the initial weights of a seed; see `firstlight.api.step`."""
    dataset = None if train is None else train if isinstance(train, Dataset) else load_images(train)
    trained_on = None if dataset is None else dataset.splits["train"]
    names = None if trained_on is None else trained_on.class_names
    given = images_of(images, labels, names, model)
    fitted_on = given if trained_on is None else trained_on
    _must_be_few(given)
    if isinstance(model, str):
        preparation = Preparation.fit(fitted_on)
        built = models.build(model, preparation.input_shape, len(given.class_names))
    else:
        height, width, channels = model.input_shape
        preparation = replace(
            Preparation.fit(fitted_on, greyscale=channels == 1), input_shape=(height, width, channels)
        )
        built = model
    task = Task(
        built,
        losses.loss(loss) if isinstance(loss, str) else loss,
        preparation,
        optimizers.optimizer(optimizer) if isinstance(optimizer, str) else optimizer,
        seed=seed,
    )
    return course(task, given, train=trained_on, lr=lr, batch_size=batch_size)


def course(
    task: Task,
    images: Images,
    *,
    name: str = "",
    train: Images | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    vector: Array | None = None,
) -> Course:
    """A course of a task on images, which are prepared here.

    Raises ExperimentError for a learning rate or a batch size that is none, DataError for no images, or too many.
    """
    if lr is not None and not (isinstance(lr, int | float | np.number) and 0 < lr < math.inf):
        raise ExperimentError(f"step: lr must be a finite number above 0; received {lr!r}.")
    if batch_size is not None and not (isinstance(batch_size, int | np.integer) and batch_size >= 1):
        raise ExperimentError(f"step: batch_size must be a whole number, at least 1; received {batch_size!r}.")
    _must_be_few(images)
    if len(images.class_names) != task.model.classes:
        raise DataError(
            f"{task.model.name} has {task.model.classes} classes; the images have {len(images.class_names)}."
        )
    task.trained_layers()  # head, labels and loss must fit
    prepared = task.preparation.apply(images)
    trained_on = None if train is None else task.preparation.apply(train)
    return Course(task, prepared, name=name, train=trained_on, rate=lr, batch_size=batch_size, vector=vector)


def _must_be_few(images: Images) -> None:
    if not 0 < len(images) <= MOST:
        raise DataError(f"A step is shown on 1 to {MOST} images; received {len(images)}. Take some of them.")


def images_of(
    images: Any,
    labels: Any,
    class_names: Sequence[str] | None,
    model: Model | str,
    preparation: Preparation | None = None,
) -> Images:
    """Images with their labels, of whatever `fl.step` takes for them.

    class_names  of the classes, where these are known
    preparation  by which image files are read; as they are where none is given

    Raises DataError where they are no images, or labels are missing or do not fit.
    """
    if images is None or isinstance(images, Dataset):
        raise DataError(
            'step: give the images that it is shown on, one or a few, such as data.splits["train"].take([0]); '
            f"received {'none' if images is None else f'all of {images.name}'}."
        )
    if isinstance(images, Images):
        return images if labels is None else replace(images, labels=_labels(labels, len(images), images.class_names))
    if isinstance(images, str | Path):
        from firstlight.data.decoding import load_image

        pixels = load_image(str(images)) if preparation is None else outside_image(str(images), preparation)
        ids = np.array([Path(images).name])
    else:
        try:
            pixels = np.asarray(images)
        except ValueError:  # rows of different lengths
            pixels = np.asarray(images, object)
        ids = None
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3, 4) or not pixels.size:
        raise DataError(
            "step: images are those of a dataset, an image file, or uint8 pixels (H, W), (H, W, C) or (N, H, W, C); "
            f"received {pixels.dtype} {pixels.shape}."
        )
    if pixels.ndim == 2:
        pixels = pixels[None, :, :, None]
    elif pixels.ndim == 3:
        pixels = pixels[None] if pixels.shape[-1] in (1, 3) else pixels[..., None]
    names = tuple(class_names) if class_names is not None else tuple(map(str, range(_classes(model))))
    n = len(pixels)
    ids = np.array([f"image {k}" for k in range(n)]) if ids is None else ids
    if labels is None:
        raise DataError(f"step: the loss is taken against labels: give one for each image ({n}).")
    return Images(pixels, _labels(labels, n, names), ids, names)


def _classes(model: Model | str) -> int:
    if isinstance(model, Model):
        return model.classes
    return models.default_shape(model)[1] if model in models.ARCHITECTURES else 10


def _labels(labels: Any, n: int, names: Sequence[str]) -> Array:
    """Labels as numbers, of numbers or of names of classes; one for one image."""
    given = [labels] if isinstance(labels, str) or np.ndim(labels) == 0 else list(labels)
    if len(given) != n:
        raise DataError(f"step: {n} images need {n} labels; received {len(given)}.")
    found = []
    for label in given:
        if isinstance(label, str):
            if label not in names:
                raise DataError(f"step: there is no class {label!r}. {nearest(label, names)}")
            found.append(list(names).index(label))
            continue
        try:
            found.append(operator.index(label))
        except TypeError:
            found.append(-1)
        if not 0 <= found[-1] < len(names):
            raise DataError(f"step: labels lie in 0..{len(names) - 1}, or are names of classes; received {label!r}.")
    return np.array(found, np.int64)
