"""firstlight itself: `Session.train_epoch` and `Session.outputs`, as a run calls them."""

from __future__ import annotations

from typing import Any

import numpy as np

import firstlight as fl
from benchmarks import trials
from benchmarks.cases import CLASSES, Case
from benchmarks.contestants.augmenting import TABLE
from benchmarks.worker import Prepared
from firstlight import kernels
from firstlight.engines import Session, Task, open_engine
from firstlight.losses import CrossEntropy
from firstlight.models import build
from firstlight.optimizers import Adam
from firstlight.prepare import Augmentation, Preparation, batches, epoch_order
from firstlight.types import Images

READY = 64  # batches
SHOWN = ("threads", "precision", "channels_last")


def prepare(case: Case, engine: str = "numpy", augment: bool = False, **options: Any) -> Prepared:
    """A warm session; the images stay bytes, as in every run."""
    session, images = opened(case, engine, augment, **options)
    record: dict[str, Any] = session.describe()
    chosen = {key: record[key] for key in SHOWN if key in record}

    def train(epochs: int) -> None:
        rates = np.full(case.steps, 1e-3)
        for epoch in range(epochs):
            session.train_epoch(epoch, case.batch, rates, lambda done, loss: None)

    def predict(times: int) -> None:
        for _ in range(times):
            session.outputs(images)

    return Prepared(case.build().parameters, predict if case.predict else train, chosen)


def opened(case: Case, engine: str = "numpy", augment: bool = False, **options: Any) -> tuple[Session, Images]:
    """A session for noise, warm, and the noise."""
    pixels, labels = case.noise()
    images = Images(pixels, labels, np.arange(len(pixels)).astype(str), tuple("abcdefghij"[:CLASSES]))
    augmentation = Augmentation.of(TABLE) if augment else None
    task = Task(case.build(), CrossEntropy(), Preparation.fit(images), Adam(), augmentation=augmentation)
    session = open_engine(engine, device="cpu" if engine == "torch" else "auto", **options).session(task, images)
    if case.predict:
        session.outputs(images)
    else:
        session.warm_up(case.batch, 1)
    return session, images


def parts(source: str, model: str, batch: int, engine: str = "numpy") -> dict[str, float]:
    """Seconds of what an epoch on the training images of `source` is made of.

    ready   a step of the loop over READY batches, which stay in the processor's cache
    gather  to gather one of these by the kernels
    order   to draw the order of all images
    """
    images = fl.load(source).splits["train"]
    few = images.take(np.arange(READY * batch))
    task = Task(build(model, images.shape, CLASSES), CrossEntropy(), Preparation.fit(images), Adam())
    session = open_engine(engine).session(task, few)
    session.warm_up(batch, 1)
    rates = np.full(READY, 1e-3)
    scale, shift = task.preparation.scale_shift(np.float32)
    compiled = kernels.load("compiled")

    def gather(times: int) -> None:
        for index in batches(epoch_order(0, 0, len(few)), batch):
            compiled.gather(few.pixels, index, scale, shift)

    ready = trials.seconds(lambda times: session.train_epoch(0, batch, rates, lambda done, loss: None))
    order = trials.seconds(lambda times: epoch_order(0, 0, len(images)))
    return {"ready": ready / READY, "gather": trials.seconds(gather) / READY, "order": order}


JOBS = {"parts": parts}
