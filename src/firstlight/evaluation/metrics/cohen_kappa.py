"""Cohen's kappa."""

import numpy as np

from firstlight.evaluation.metrics.base import METRICS, confusion
from firstlight.types import Array


def of_counts(counts: Array) -> Array:
    """(p − e) / (1 − e) of confusion matrices (…, K, K): p is the accuracy, e what chance would give."""
    n = counts.sum((-2, -1))
    p = np.trace(counts, axis1=-2, axis2=-1) / n
    e = (counts.sum(-1) / n[..., None] * (counts.sum(-2) / n[..., None])).sum(-1)
    return (p - e) / (1 - e)


@METRICS.register(title="Cohen’s kappa", of_counts=of_counts)
def cohen_kappa(labels: Array, probabilities: Array) -> float:
    """The agreement beyond chance, given how often each class is labelled and predicted: 1 at best, 0 by chance.

    Cohen, "A coefficient of agreement for nominal scales", Educ. Psychol. Meas. 1960, equation 1. Not defined if labels
    and predictions are all of one and the same class.
    """
    return float(of_counts(confusion(labels, probabilities)))
