"""The evaluation of a model on one split: every number follows from labels and probabilities."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from firstlight.errors import DataError
from firstlight.evaluation.calibration import ReliabilityBin, calibration_error, reliability_bins
from firstlight.evaluation.metrics import MetricScore, scores
from firstlight.evaluation.scores import (
    Averages,
    ClassScore,
    Interval,
    class_scores,
    confusion_matrix,
    macro_average,
    weighted_average,
    wilson_interval,
)
from firstlight.types import Array, Json, Predictions

TOP_K = (1, 2, 3, 5)
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a model did on one split. The fields are counted; the other numbers follow from them.

    class_names  the K classes
    confusion    int64 (K, K): ROWS are the TRUE classes, COLUMNS the PREDICTED ones
    loss         the training objective's data loss, without penalties, as the engine measured it
    top_k        k -> the share of images whose true class is among the k most probable; k = 1, 2, 3, 5 below K
    bins         the reliability diagram: 15 bins of confidence
    scores       of further metrics that were asked for
    """

    class_names: tuple[str, ...]
    confusion: Array
    loss: float
    top_k: Mapping[int, float]
    bins: tuple[ReliabilityBin, ...]
    scores: tuple[MetricScore, ...] = ()

    def __repr__(self) -> str:
        """The numbers that are asked for most; the rest is a page long."""
        return (
            f"Evaluation(accuracy={self.accuracy:.4f}, loss={self.loss:.4f}, images={self.images}, "
            f"classes={len(self.class_names)})"
        )

    @property
    def images(self) -> int:
        """How many were measured."""
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """How many were answered rightly."""
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        """The share that was answered rightly."""
        return self.correct / self.images

    @property
    def accuracy_interval(self) -> Interval:
        """The 95 % Wilson interval of the accuracy."""
        return wilson_interval(self.correct, self.images)

    @property
    def metrics(self) -> dict[str, float | None]:
        """The further metrics that were asked for, by name; None where one gave no number."""
        return {score.name: score.value for score in self.scores}

    @property
    def calibration_error(self) -> float:
        """The expected calibration error over `bins`."""
        return calibration_error(self.bins)

    @cached_property
    def classes(self) -> tuple[ClassScore, ...]:
        """The scores of each class."""
        return class_scores(self.confusion, self.class_names)

    @property
    def macro(self) -> Averages:
        """The means over the classes."""
        return macro_average(self.classes)

    @property
    def weighted(self) -> Averages:
        """The means over the classes, each counted by its images."""
        return weighted_average(self.classes)

    def to_json(self) -> Json:
        """Plain JSON. An undefined score, such as the precision of a class never predicted, is null."""
        return {
            "images": self.images,
            "accuracy": self.accuracy,
            "accuracy_interval": list(self.accuracy_interval),
            "loss": self.loss,
            "top_k": {str(k): share for k, share in self.top_k.items()},
            "calibration": {"error": self.calibration_error, "bins": [b.to_json() for b in self.bins]},
            "confusion": {
                "rows": "true",
                "columns": "predicted",
                "class_names": list(self.class_names),
                "counts": self.confusion.tolist(),
            },
            "classes": [score.to_json() for score in self.classes],
            "macro": self.macro.to_json(),
            "weighted": self.weighted.to_json(),
            **({"metrics": [score.to_json() for score in self.scores]} if self.scores else {}),
        }

    @classmethod
    def from_json(cls, value: Json) -> Evaluation:
        """The evaluation that `to_json` wrote. Raises DataError where it did not write `value`."""
        try:
            confusion = value["confusion"]
            if (confusion["rows"], confusion["columns"]) != ("true", "predicted"):
                raise DataError("A confusion matrix must have true classes as rows and predicted ones as columns.")
            names = tuple(confusion["class_names"])
            return cls(
                class_names=names,
                confusion=np.array(confusion["counts"], dtype=np.int64).reshape(len(names), len(names)),
                loss=float(value["loss"]),
                top_k={int(k): float(share) for k, share in value["top_k"].items()},
                bins=tuple(ReliabilityBin(**b) for b in value["calibration"]["bins"]),
                scores=tuple(MetricScore.from_json(score) for score in value.get("metrics", ())),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"This is not an evaluation: {type(error).__name__}: {error}.") from None


def measure(
    predictions: Predictions, class_names: Sequence[str], loss: float, metrics: Collection[str] = ()
) -> Evaluation:
    """Measure predictions against their labels; `loss` is the engine's, on the same images.

    metrics  names of further metrics
    Raises DataError for empty predictions, labels outside the classes, and rows that are not probabilities.
    """
    _check(predictions, len(class_names), loss)
    return Evaluation(
        class_names=tuple(class_names),
        confusion=confusion_matrix(predictions.labels, predictions.predicted, len(class_names)),
        loss=float(loss),
        top_k={k: top_k_accuracy(predictions, k) for k in TOP_K if k < len(class_names)},
        bins=reliability_bins(predictions),
        scores=scores(metrics, predictions.labels, predictions.probabilities, interval=True),
    )


def confused_pairs(confusion: Array) -> list[tuple[int, int, int, int]]:
    """The pairs of true and predicted class that were confused, the most frequent first.

    confusion  int64 (K, K), true by predicted
    Each as (true, predicted, images, images of the true class).
    """
    off = confusion.copy()
    np.fill_diagonal(off, 0)
    support = confusion.sum(axis=1)
    order = sorted(np.argwhere(off).tolist(), key=lambda pair: -off[pair[0], pair[1]])
    return [(t, p, int(off[t, p]), int(support[t])) for t, p in order]


def top_k_accuracy(predictions: Predictions, k: int) -> float:
    """The share of images whose true class is among the k most probable; of equals, the first class goes first."""
    p = predictions.probabilities
    true = np.take_along_axis(p, predictions.labels[:, None], axis=1)
    before = np.arange(p.shape[1]) < predictions.labels[:, None]
    rank = ((p > true) | ((p == true) & before)).sum(axis=1)
    return float((rank < k).mean())


def most_missed_class(predictions: Predictions) -> int | None:
    """The class of which the smallest share is recognized, the first of equals; None where there is no mistake."""
    if predictions.correct.all():
        return None
    labels = predictions.labels
    counts = np.bincount(labels)
    recognized = np.bincount(labels, weights=predictions.correct)
    return int(np.where(counts > 0, recognized / np.maximum(counts, 1), 1.0).argmin())


def most_confident_mistakes(predictions: Predictions, count: int, of: int | None = None) -> Array:
    """Indices of the mistakes made with the highest confidence, the surest first; at most `count`.

    of  the true class that they are of; all unless given
    """
    wrong = ~predictions.correct if of is None else ~predictions.correct & (predictions.labels == of)
    mistakes = np.flatnonzero(wrong)
    order = np.argsort(-predictions.confidence[mistakes], kind="stable")
    return mistakes[order[:count]]


def _check(predictions: Predictions, classes: int, loss: float) -> None:
    p, labels = predictions.probabilities, predictions.labels
    if len(predictions) == 0:
        raise DataError("There is nothing to evaluate: the predictions are empty.")
    if p.shape[1] != classes:
        raise DataError(f"{classes} classes need {classes} probabilities per image; received {p.shape[1]}.")
    if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise DataError(f"Labels must lie in 0..{classes - 1}; received {int(labels.min())}..{int(labels.max())}.")
    if not np.isfinite(p).all():
        row = int(np.flatnonzero(~np.isfinite(p).all(axis=1))[0])
        raise DataError(f"The probabilities of {predictions.ids[row]} are not finite: {p[row].tolist()}.")
    sums = p.sum(axis=1, dtype=np.float64)
    wrong = (np.abs(sums - 1) > SUM_TOLERANCE) | (p.min(axis=1) < 0)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"The outputs for {predictions.ids[row]} are not probabilities: they sum to {sums[row]:.4g} and the "
            f"smallest is {float(p[row].min()):.4g}. Logits go through a softmax before they are measured."
        )
    if not math.isfinite(loss):
        raise DataError(f"The loss is not finite: {loss}.")
