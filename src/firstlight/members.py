"""Trained nets that answer as one, by the mean of their probabilities; a run is the case of a single one.

So many nets take so many times the time and the memory of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firstlight import evaluation
from firstlight.engines import Session, Task
from firstlight.errors import RunError
from firstlight.evaluation import Evaluation
from firstlight.experiments.novelty import NoveltyDetector
from firstlight.types import Array, Images, Predictions

NO_NUMBERS = "The model’s output is not finite: its weights are damaged, or it diverged in training."


@dataclass(frozen=True, eq=False)
class Member:
    """A trained net among those that answer together, each with its own preparation and on an engine of its own.

    path     of its run
    novelty  tells images that are of none of its classes; None where nothing does
    metrics  the further metrics that its run is measured by
    """

    path: Path
    task: Task
    session: Session
    novelty: NoveltyDetector | None = None
    metrics: tuple[str, ...] = ()

    def answers(self, images: Images | Array) -> tuple[Array, Array | None]:
        """The raw outputs (N, units) for prepared images, or their pixels, and how strange they are, (N,)."""
        return (self.session.outputs(images), None) if self.novelty is None else self.novelty.answers(images)


@dataclass(frozen=True, eq=False)
class Answers:
    """What nets say of N images.

    outputs        raw, (N, units) of each net
    probabilities  float32 (N, K), the mean over the nets
    strangeness    float32 (N,), the mean over the nets; None where one of them cannot tell. See `Predictions`
    """

    outputs: tuple[Array, ...]
    probabilities: Array
    strangeness: Array | None = None


def answers(members: Sequence[Member], images: Images | Array) -> Answers:
    """What nets say of images that were prepared, or their pixels: all take the same shape, uint8 (N, H, W, C)."""
    outputs, strangeness = zip(*(member.answers(images) for member in members), strict=True)
    each = [member.task.loss.probabilities(y.T) for member, y in zip(members, outputs, strict=True)]
    told = [one for one in strangeness if one is not None]
    mean = told[0] if len(told) == 1 else np.mean(told, axis=0) if told else None
    return Answers(outputs, evaluation.mean_probabilities(each), mean if len(told) == len(members) else None)


def probabilities(members: Sequence[Member], pixels: Array) -> Array:
    """The mean of the nets' probabilities alone, float32 (N, K), for prepared pixels, uint8 (N, H, W, C)."""
    return evaluation.mean_probabilities(
        [member.task.loss.probabilities(member.session.outputs(pixels).T) for member in members]
    )


def require_numbers(members: Sequence[Member], found: Answers) -> None:
    """Raise RunError where an answer is not a number; of several nets, it names the first whose it is."""
    if np.isfinite(found.probabilities).all():
        return
    for member, y in zip(members, found.outputs, strict=True):
        if not np.isfinite(member.task.loss.probabilities(y.T)).all():
            raise RunError(NO_NUMBERS if len(members) == 1 else f"{member.path}: {NO_NUMBERS}")


def mean_loss(members: Sequence[Member], found: Answers, labels: Array) -> float:
    """The mean loss of answers: by the loss of a single net; of several, the negative log-likelihood of their mean."""
    if len(members) > 1:
        return evaluation.negative_log_likelihood(found.probabilities, labels)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is told by the value
        return float(members[0].task.loss.values(found.outputs[0].T, labels).mean(dtype=np.float64))


def measure(members: Sequence[Member], images: Images) -> tuple[Evaluation, Predictions]:
    """Evaluate nets on prepared images."""
    found = answers(members, images)
    predictions = Predictions(images.ids, images.labels, found.probabilities, found.strangeness)
    loss = mean_loss(members, found, images.labels)
    return evaluation.measure(predictions, images.class_names, loss, members[0].metrics), predictions
