"""Several nets that answer as one: the mean of their probabilities.

Lakshminarayanan, Pritzel and Blundell, "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles",
2017. No net counts more than another, and no net is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from firstlight.errors import DataError
from firstlight.evaluation.significance import same_images
from firstlight.types import Array, Predictions

LEAST = float(np.finfo(np.float32).tiny)  # a probability of 0, whose logarithm has no end, counts as this


def mean_probabilities(members: Sequence[Array]) -> Array:
    """The mean of the probabilities of nets, each float32 (N, K): float32 (N, K); of a single net its own, bit for bit.

    >>> mean_probabilities([np.float32([[1, 0]]), np.float32([[0.5, 0.5]])]).tolist()
    [[0.75, 0.25]]
    """
    if len(members) == 1:
        return members[0]
    total = np.zeros(members[0].shape, np.float64)  # in which the order of the nets does not show
    for probabilities in members:
        total += probabilities
    return (total / len(members)).astype(np.float32)


def averaged(members: Sequence[Predictions]) -> Predictions:
    """What nets say of the same images as one, in the order of the first.

    Raises DataError where they were asked of other images, or told other labels.
    """
    first = members[0]
    order = np.argsort(first.ids)
    rows = []
    for predictions in members:
        if not same_images(first, predictions):
            raise DataError("An ensemble is measured on images that all of its nets answered; theirs are not the same.")
        mine = np.empty_like(predictions.probabilities)
        mine[order] = predictions.probabilities[np.argsort(predictions.ids)]
        rows.append(mine)
    return Predictions(first.ids, first.labels, mean_probabilities(rows))


def negative_log_likelihood(probabilities: Array, labels: Array) -> float:
    """−log p of the true class, the mean over the images: the cross-entropy of probabilities (N, K).

    >>> round(negative_log_likelihood(np.float32([[0.5, 0.5]]), np.array([1])), 4)
    0.6931
    """
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(true, LEAST)).mean())
