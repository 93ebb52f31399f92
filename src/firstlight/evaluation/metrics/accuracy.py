"""Accuracy."""

import numpy as np

from firstlight.evaluation.metrics.base import METRICS, confusion
from firstlight.types import Array


def of_counts(counts: Array) -> Array:
    """The diagonal's share of confusion matrices (…, K, K)."""
    return np.trace(counts, axis1=-2, axis2=-1) / counts.sum((-2, -1))


@METRICS.register(percent=True)
def accuracy(labels: Array, probabilities: Array) -> float:
    """The share of images whose most probable class is their own."""
    return float(of_counts(confusion(labels, probabilities)))
