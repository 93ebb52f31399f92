"""Scores that follow from counts: intervals of a share, the confusion matrix, and what it says of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist

import numpy as np

from firstlight.errors import DataError
from firstlight.types import Array, Json

Interval = tuple[float, float]


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The Wilson score interval of a share: where the true share plausibly lies, given `successes` out of `n`.

    It stays inside [0, 1] and is honest near both ends, where the textbook's p ± 1.96 s is not.

    >>> low, high = wilson_interval(90, 100)
    >>> round(low, 3), round(high, 3)
    (0.826, 0.945)
    """
    if not 0 <= successes <= n or n == 0:
        raise DataError(f"An interval needs 0 <= successes <= n and n > 0; received {successes} of {n}.")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / n
    scale = 1 + z**2 / n
    centre = (share + z**2 / (2 * n)) / scale
    half = z / scale * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return low, high


def confusion_matrix(labels: Array, predicted: Array, classes: int) -> Array:
    """Count the pairs of true and predicted class: int64 (K, K), rows true, columns predicted.

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    if labels.shape != predicted.shape:
        raise DataError(f"Every label needs a prediction; received {labels.shape} and {predicted.shape}.")
    for name, values in (("Labels", labels), ("Predicted classes", predicted)):
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) < classes:
            raise DataError(f"{name} must lie in 0..{classes - 1}; received {int(values.min())}..{int(values.max())}.")
    pairs = labels.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes).astype(np.int64)


@dataclass(frozen=True)
class ClassScore:
    """What the confusion matrix says of one class. A score whose denominator is zero is None.

    support            images of this class
    predicted          images taken for this class, rightly or wrongly
    accuracy           the share of this class's images that was recognized; its other name is recall
    accuracy_interval  95 % Wilson interval
    precision          the share of the images taken for this class that belongs to it
    f1                 the harmonic mean of precision and recall
    """

    name: str
    support: int
    predicted: int
    accuracy: float | None
    accuracy_interval: Interval | None
    precision: float | None
    f1: float | None

    @property
    def recall(self) -> float | None:
        """The same number as `accuracy`."""
        return self.accuracy

    def to_json(self) -> Json:
        interval = list(self.accuracy_interval) if self.accuracy_interval else None
        return {**asdict(self), "accuracy_interval": interval, "recall": self.recall}


@dataclass(frozen=True)
class Averages:
    """Scores averaged over the classes that have images; an undefined precision counts as zero."""

    precision: float
    recall: float
    f1: float
    support: int

    def to_json(self) -> Json:
        return asdict(self)


def class_scores(confusion: Array, class_names: Sequence[str]) -> tuple[ClassScore, ...]:
    """The scores of each class from a confusion matrix whose rows are true and columns predicted."""
    hits, support, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return tuple(
        _score(name, int(h), int(s), int(p))
        for name, h, s, p in zip(class_names, hits, support, predicted, strict=True)
    )


def _score(name: str, hits: int, support: int, predicted: int) -> ClassScore:
    return ClassScore(
        name=name,
        support=support,
        predicted=predicted,
        accuracy=hits / support if support else None,
        accuracy_interval=wilson_interval(hits, support) if support else None,
        precision=hits / predicted if predicted else None,
        f1=2 * hits / (support + predicted) if support + predicted else None,
    )


def macro_average(scores: Sequence[ClassScore]) -> Averages:
    """Each class counts the same."""
    return _average(scores, [1.0 if s.support else 0.0 for s in scores])


def weighted_average(scores: Sequence[ClassScore]) -> Averages:
    """Each class counts by its number of images."""
    return _average(scores, [float(s.support) for s in scores])


def _average(scores: Sequence[ClassScore], weights: Sequence[float]) -> Averages:
    def mean(values: Sequence[float | None]) -> float:
        return sum(w * (v or 0.0) for w, v in zip(weights, values, strict=True)) / sum(weights)

    return Averages(
        precision=mean([s.precision for s in scores]),
        recall=mean([s.recall for s in scores]),
        f1=mean([s.f1 for s in scores]),
        support=sum(s.support for s in scores),
    )
