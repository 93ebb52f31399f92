"""The Matthews correlation coefficient."""

import numpy as np

from firstlight.evaluation.metrics.base import METRICS, confusion
from firstlight.types import Array


def of_counts(counts: Array) -> Array:
    """The correlation of true and predicted classes of confusion matrices (…, K, K); 0 where one side has no spread."""
    counts = counts.astype(np.float64)
    n, right = counts.sum((-2, -1)), np.trace(counts, axis1=-2, axis2=-1)
    true, predicted = counts.sum(-1), counts.sum(-2)
    spread = (n**2 - (true**2).sum(-1)) * (n**2 - (predicted**2).sum(-1))
    covariance = right * n - (true * predicted).sum(-1)
    return np.where(spread > 0, covariance / np.sqrt(np.where(spread > 0, spread, 1)), 0.0)


@METRICS.register(title="Matthews correlation", of_counts=of_counts)
def matthews(labels: Array, probabilities: Array) -> float:
    """The correlation between true and predicted classes: 1 at best, 0 by chance, also where classes are unequal.

    Matthews 1975; for several classes Gorodkin, "Comparing two K-category assignments by a K-category correlation
    coefficient", Comput. Biol. Chem. 2004, equation 8.
    """
    return float(of_counts(confusion(labels, probabilities)))
