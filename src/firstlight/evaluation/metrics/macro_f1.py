"""Macro F1."""

import numpy as np

from firstlight.evaluation.metrics.base import METRICS, confusion
from firstlight.types import Array


def of_counts(counts: Array) -> Array:
    """The mean of F1 over the classes that have images, of confusion matrices (…, K, K)."""
    hits, support = np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-1)
    f1 = 2 * hits / np.maximum(support + counts.sum(-2), 1)
    return np.where(support > 0, f1, 0).sum(-1) / (support > 0).sum(-1)


@METRICS.register(title="macro F1", of_counts=of_counts)
def macro_f1(labels: Array, probabilities: Array) -> float:
    """The harmonic mean of precision and recall of each class that has images, averaged over these classes."""
    return float(of_counts(confusion(labels, probabilities)))
