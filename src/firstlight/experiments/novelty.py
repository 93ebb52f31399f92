"""Which images are of none of a run's classes: measured once at its end, and told of new images by its net.

See `evaluation.novelty` for the distance and its threshold, and docs/why/decisions for how they were chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firstlight.engines import Engine, Task
from firstlight.engines.features import FeatureNet, FeatureSession
from firstlight.errors import ExperimentError, brief
from firstlight.evaluation.novelty import ClassDistances
from firstlight.experiments.config import Experiment
from firstlight.experiments.setup import Setup
from firstlight.randomness import generator
from firstlight.records.novelty import Distances, NoveltyRecord
from firstlight.types import Array, Images

SAMPLE = 5_000  # training images that the classes' means and the covariance are taken over
LEAST = 1e-6  # a threshold that distances are still divided by: all validation images may be alike
BLOCK = 2048  # images whose features lie in memory together
SHOWN = 15  # test images that are kept to be looked at
NO_VALIDATION = (
    "The run has no validation images (data.validation is 0), so nothing says how far an image of its classes may lie "
    "from them."
)
NO_FEATURES = "The features before the last layer are the same for all images, or not finite."


def false_alarm_rate(rate: float) -> float:
    """The same, where it is a rate of false alarms. Raises ExperimentError otherwise."""
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1:
        raise ExperimentError(f"false_alarm_rate is a share between 0 and 1, such as 0.05; received {brief(rate)}.")
    return float(rate)


@dataclass(frozen=True, eq=False)
class NoveltyDetector:
    """Tells how strange an image is to a net: its distance from the classes, by the threshold."""

    session: FeatureSession
    classes: ClassDistances
    threshold: float

    def answers(self, images: Images | Array) -> tuple[Array, Array]:
        """The raw outputs (N, K) for prepared images, as the net's own session gives them, and the strangeness.

        images  or their pixels alone
        """
        pixels = images.pixels if isinstance(images, Images) else images
        starts = range(0, max(1, len(pixels)), BLOCK)
        both = (self.session.features_and_outputs(pixels[at : at + BLOCK]) for at in starts)
        found = [(outputs, self.classes.distances(features)) for features, outputs in both]
        outputs, distances = zip(*found, strict=True)
        return np.concatenate(outputs), np.concatenate(distances) / self._divisor

    @property
    def scaled(self) -> ClassDistances:
        """Distances that are divided by the threshold already."""
        return ClassDistances(self.classes.whitening / self._divisor, self.classes.centres / self._divisor)

    @property
    def _divisor(self) -> np.float32:
        return np.float32(max(self.threshold, LEAST))


def feature_session(task: Task, experiment: Experiment, vector: Array, **on: str) -> FeatureSession:
    """A session that gives features too, in full precision, whatever the training's. `on`: see `full_precision`."""
    return FeatureNet.of(task).session(full_precision(experiment, **on), task.model, vector)


def full_precision(experiment: Experiment, **on: str) -> Engine:
    """The engine that a trained model is used on: that of its training or, `on`, another engine or device."""
    full = "float64" if experiment.precision == "float64" else "float32"
    moved = {"device": "auto"} if on.get("engine", experiment.engine) != experiment.engine else {}
    return experiment.model_copy(update={"precision": full, **moved, **on}).open_engine()


def assess(setup: Setup, vector: Array) -> NoveltyRecord:
    """How far a trained net's images lie from its classes. Of several processes, all take part."""
    rate = setup.experiment.novelty.false_alarm_rate
    if setup.validation is None:
        return NoveltyRecord(rate=rate, reason=NO_VALIDATION)
    session = feature_session(setup.task, setup.experiment, vector)
    chosen = generator(setup.experiment.seed, "novelty").permutation(len(setup.train))[:SAMPLE]
    train = setup.train.take(np.sort(chosen))
    classes = ClassDistances.fit(session.features_and_outputs(train)[0], train.labels)
    test = setup.splits["test"]
    if classes is None:
        return NoveltyRecord(rate=rate, reason=NO_FEATURES)
    validation, tested = (_distances(session, classes, images) for images in (setup.validation, test))
    if not (np.isfinite(validation).all() and np.isfinite(tested).all()):
        return NoveltyRecord(rate=rate, reason=NO_FEATURES)
    strangest = np.argsort(-tested, kind="stable")[:SHOWN]
    distances = Distances(
        whitening=classes.whitening,
        centres=classes.centres,
        validation=validation,
        test=tested,
        strangest=strangest,
        pixels=test.pixels[strangest],
    )
    return NoveltyRecord(rate=rate, distances=distances)


def _distances(session: FeatureSession, classes: ClassDistances, images: Images) -> Array:
    blocks = (images.take(np.arange(at, min(at + BLOCK, len(images)))) for at in range(0, len(images), BLOCK))
    return np.concatenate([classes.distances(session.features_and_outputs(block)[0]) for block in blocks])
