"""What the loss of an image counts in training, by its class."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from firstlight.errors import ExperimentError, nearest
from firstlight.types import Array, Images


def class_weights(asked: str | Mapping[str, float], train: Images) -> Array | None:
    """A weight for each class, float64 (K,), or None where nothing is asked for.

    asked  weights by the names of classes, the others having 1; or "balanced" for N / (K n) for a class of n of the N
           training images, K being the classes that occur: all classes then weigh the same together, and the images 1
           on average. That is scikit-learn's rule.

    Raises ExperimentError for a class that is not there.
    """
    if not asked:
        return None
    weights = np.ones(len(train.class_names))
    if isinstance(asked, str):
        occurs = train.counts > 0
        weights[occurs] = len(train) / (occurs.sum() * train.counts[occurs])
        return weights
    for name, weight in asked.items():
        if name not in train.class_names:
            raise ExperimentError(
                f"loss.class_weights: there is no class {name!r}. {nearest(name, train.class_names)}".rstrip()
            )
        weights[train.class_names.index(name)] = weight
    return weights


def weighted_targets(targets: Array, class_weights: Array | None) -> tuple[Array, Array | None]:
    """Soft columns (K, N) and the weight of each sample (N,), by class weights (K,).

    A loss of targets t and weights w by class is to have the gradient Σₖ tₖ wₖ · (that of class k). As every loss's
    gradient is affine in its targets, that is the gradient with respect to t' = t w / Σₖ tₖ wₖ, times Σₖ tₖ wₖ.
    """
    if class_weights is None:
        return targets, None
    parts = targets * class_weights[:, None]
    totals = parts.sum(axis=0)
    return parts / totals, totals
