"""The learning-rate range test (Smith 2017): a training whose rate rises from step to step; nothing of it is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from firstlight.engines import Session
from firstlight.engines.base import Task
from firstlight.errors import TrainingError
from firstlight.prepare import batches
from firstlight.records.rate_test import DIVERGED, RISEN
from firstlight.types import Array, Images

KEPT = 0.9  # of the running mean of the loss, by which it is told that the loss has grown


def rate_test(
    session: Session, task: Task, images: Images, batch_size: int, rates: Array, progress: Callable[[int], None]
) -> Array:
    """Take a step at each of the rates, until the loss has grown far above where it began; return the losses (n,).

    `progress(steps done)` is called after each.
    """
    losses: list[float] = []
    mean = least = math.inf
    for (epoch, step, index), rate in zip(_steps(task, images, batch_size), rates, strict=False):
        try:
            loss, _ = session.train_step(index, epoch, step, float(rate))
        except TrainingError:  # no longer a number
            losses.append(math.nan)
            break
        losses.append(loss)
        mean = loss if len(losses) == 1 else KEPT * mean + (1 - KEPT) * loss
        least = min(least, mean)
        progress(len(losses))
        if mean > max(DIVERGED * losses[0], RISEN * least):
            break
    return np.array(losses)


def _steps(task: Task, images: Images, batch_size: int) -> Iterator[tuple[int, int, Array]]:
    """Epoch, step and images of one step after the other, as training would take them."""
    epoch = 0
    while True:
        for step, index in enumerate(batches(task.order(images, epoch, batch_size), batch_size)):
            yield epoch, step, index
        epoch += 1
