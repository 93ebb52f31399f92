"""Macro AUC."""

import numpy as np

from firstlight.evaluation.metrics.base import METRICS
from firstlight.types import Array


@METRICS.register(title="macro AUC")
def macro_auc(labels: Array, probabilities: Array) -> float:
    """The area under the ROC curve of each class against the rest, averaged over the classes that have images.

    Of each class against the rest, it is the share of pairs, an image of the class and another, in which the class is
    more probable for the former; of equals, half: Hanley and McNeil, "The meaning and use of the area under a ROC
    curve", Radiology 1982. A class of which there are no images has none, and is left out of the mean.
    """
    classes = [k for k in range(probabilities.shape[1]) if 0 < (labels == k).sum() < len(labels)]
    if not classes:
        raise ValueError("all images are of one class, and the area under a curve needs two")
    return float(np.mean([_auc(probabilities[:, k], labels == k) for k in classes]))


def _auc(scores: Array, positive: Array) -> float:
    """The Mann-Whitney statistic, by mean ranks."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[inverse]
    n = int(positive.sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * (len(positive) - n)))
