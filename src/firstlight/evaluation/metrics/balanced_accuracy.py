"""Balanced accuracy."""

import numpy as np

from firstlight.evaluation.metrics.base import METRICS, confusion
from firstlight.types import Array


def of_counts(counts: Array) -> Array:
    """The mean of the recalls of the classes that have images, of confusion matrices (…, K, K)."""
    hits, support = np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-1)
    return (hits / np.maximum(support, 1)).sum(-1) / (support > 0).sum(-1)


@METRICS.register(percent=True, of_counts=of_counts)
def balanced_accuracy(labels: Array, probabilities: Array) -> float:
    """The accuracy of each class, averaged over the classes that have images: rare ones count as much as others.

    Brodersen, Ong, Stephan and Buhmann, "The balanced accuracy and its posterior distribution", ICPR 2010.
    """
    return float(of_counts(confusion(labels, probabilities)))
