"""Novelty detection: how far an image lies from the classes that a net has learnt, and from where on that is too far.

The distance is Mahalanobis' to the nearest class mean, in the net's last hidden features (Lee et al. 2018) scaled to
length 1 (Müller and Hein 2025). The threshold is a quantile of the distances of validation images, so that the rate of
false alarms on new images like these is at most the one asked for (split conformal prediction, Vovk et al. 2005).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from firstlight.types import Array

SHRINKAGE = 1e-2  # of the mean variance of a feature, added to each: flat directions would decide alone
WIDEST = 256  # dimensions that distances are taken in; of more features, the leading ones
ROWS = 1024  # images by which these are found
AT_ONCE = 1 << 16  # numbers, of images × classes × dimensions, below which one array of them is the faster way
SMALLEST = 1e-12  # a length that is no longer divided by


@dataclass(frozen=True, eq=False)
class ClassDistances:
    """Distances d(f) = minₖ |W f/|f| − cₖ|.

    whitening  W, float32 (R, F): in its coordinates, the features of a class vary as much in every direction
    centres    c, float32 (M, R): the mean of each class of which there were images
    """

    whitening: Array
    centres: Array

    @classmethod
    def fit(cls, features: Array, labels: Array) -> ClassDistances | None:
        """Fitted to features (N, F) and labels int (N,); None where the features do not vary, or are not numbers."""
        if len(features) < 2 or not np.isfinite(features).all():
            return None
        u = _to_length_one(features.astype(np.float64))
        leading = None
        if u.shape[1] > WIDEST:
            few = u[np.linspace(0, len(u) - 1, min(ROWS, len(u))).astype(int)]
            leading = np.linalg.svd(few, full_matrices=False)[2][:WIDEST]
            u = u @ leading.T
        classes, which = np.unique(labels, return_inverse=True)
        means = np.stack([u[which == k].mean(axis=0) for k in range(len(classes))])
        apart = u - means[which]
        variances, directions = np.linalg.eigh(apart.T @ apart / len(u))
        mean = float(variances.mean())
        if mean < SMALLEST:
            return None
        W = directions.T / np.sqrt(np.maximum(variances, 0) + SHRINKAGE * mean)[:, None]
        whitening = W if leading is None else W @ leading
        return cls(whitening.astype(np.float32), (means @ W.T).astype(np.float32))

    def distances(self, features: Array) -> Array:
        """The distances of images with such features (N, F), float32 (N,)."""
        with np.errstate(invalid="ignore", over="ignore"):
            z = _to_length_one(features.astype(np.float32, copy=False)) @ self.whitening.T
        if z.size * len(self.centres) <= AT_ONCE:
            squares = np.add.reduce(np.square(z[:, None] - self.centres), axis=2)
            return np.sqrt(np.minimum.reduce(squares, axis=1))
        nearest = np.full(len(z), np.inf, np.float32)
        for centre in self.centres:  # one at a time: no array of images × classes × dimensions
            np.minimum(nearest, np.square(z - centre).sum(axis=1), out=nearest)
        return np.sqrt(nearest)


def threshold(distances: Array, rate: float) -> float | None:
    """From where on an image is of none of the classes, by the distances of n validation images; None of too few.

    The ⌈(1 − rate)(n + 1)⌉-th smallest: a new image like them is beyond it with a probability of at most `rate`.
    """
    place = math.ceil((1 - rate) * (len(distances) + 1) - 1e-9)
    return float(np.sort(distances)[place - 1]) if place <= len(distances) else None


def fewest(rate: float) -> int:
    """How many validation images a rate of false alarms needs."""
    return math.ceil(1 / rate - 1 - 1e-9)


def _to_length_one(features: Array) -> Array:
    length = np.sqrt(np.add.reduce(np.square(features), axis=1, keepdims=True))
    return features / np.maximum(length, SMALLEST)
