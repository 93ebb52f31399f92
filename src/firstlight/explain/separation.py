"""How far classes lie apart, in a net's features or on a map of them: numbers beside the picture."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import silhouette_samples

from firstlight.errors import DataError
from firstlight.explain.features import finite_rows
from firstlight.explain.neighbours import nearest_others
from firstlight.randomness import generator
from firstlight.records.explanation import NEIGHBOURS, Separation
from firstlight.types import Array

SAMPLED = 5000


def class_separation(
    features: Array, labels: Array, classes: int, seed: int, *, k: int = NEIGHBOURS, most: int = SAMPLED
) -> Separation:
    """How far classes lie apart in `features` (N, D), which may be the points (N, 2) of a map.

    labels  int (N,), in 0..classes-1, of at least two classes
    k       the neighbours that are asked, never the point itself; of the smallest class all others where they are
            fewer, so that in every class all can agree. A class of one, where none can, does not count for this
    most    so many points are judged, drawn by `seed`, where there are more: equally many of each class, weighted so
            that the result stands for all. Neighbours come from all points, silhouettes from those that are judged

    The silhouette of a point, (b − a) / max(a, b), sets its mean distance a to its own class against that to the
    nearest other class, b (Rousseeuw 1987); it is 0 for a class of one. A vote among neighbours that ends in a draw
    goes to the class of the nearest.

    Raises DataError where features or labels are not as said.
    """
    x, labels = finite_rows(features), np.asarray(labels)
    _check(x, labels, classes, k)
    counts = np.bincount(labels, minlength=classes)
    judged = _judged(labels, counts, seed, most)
    own = labels[judged]
    weights = counts[own] / np.bincount(own, minlength=classes)[own]

    silhouettes = np.zeros(len(judged))
    if len(np.unique(own)) < len(own):
        silhouettes = silhouette_samples(x[judged], own).astype(np.float64)
    k = min(k, int(counts[counts > 1].min(initial=k + 1)) - 1)
    neighbours = labels[nearest_others(x, judged, k).indices]
    return Separation(
        silhouette=float(np.average(silhouettes, weights=weights)),
        by_class=tuple(float(silhouettes[own == c].mean()) if counts[c] > 1 else None for c in range(classes)),
        sampled=len(judged),
        agreement=float(np.average((neighbours == own[:, None]).mean(axis=1), weights=weights)),
        accuracy=float(np.average(_votes(neighbours, classes).argmax(axis=1) == own, weights=weights)),
        k=neighbours.shape[1],
    )


def _check(x: Array, labels: Array, classes: int, k: int) -> None:
    if labels.shape != (len(x),) or labels.dtype.kind not in "iu":
        raise DataError(f"{len(x)} rows need {len(x)} integer labels; received {labels.dtype} {labels.shape}.")
    if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise DataError(f"Labels must lie in 0..{classes - 1}; received {int(labels.min())}..{int(labels.max())}.")
    if labels.min() == labels.max():
        raise DataError(f"Separation is between classes; all {len(x)} rows are of class {int(labels[0])}.")
    if k < 1:
        raise DataError(f"The number of neighbours must be at least 1; received {k}.")


def _judged(labels: Array, counts: Array, seed: int, most: int) -> Array:
    """Which points are judged, in their order: all, or as many of each class, at least two where there are."""
    if len(labels) <= most:
        return np.arange(len(labels))
    share = max(2, most // int((counts > 0).sum()))
    order = generator(seed, "separation").permutation(len(labels))
    each = [order[labels[order] == c][:share] for c in range(len(counts))]
    return np.sort(np.concatenate(each))


def _votes(neighbours: Array, classes: int) -> Array:
    """The votes (Q, classes) of neighbours' classes (Q, k), the nearest first.

    A vote weighs one and a little that halves with each place, in all less than one: it decides draws alone.
    """
    place = np.arange(1, neighbours.shape[1] + 1)
    votes = np.zeros((len(neighbours), classes))
    np.add.at(votes, (np.arange(len(neighbours))[:, None], neighbours), 1 + 0.5**place)
    return votes
