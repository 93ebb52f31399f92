"""What outputs mean: the softmax and its logarithm, and probabilities from least squares."""

from __future__ import annotations

import numpy as np

from firstlight.types import Array


def log_softmax(y: Array) -> Array:
    """The logarithm of `softmax`, (K, N)."""
    z = y - y.max(axis=0)  # the largest exponential is 1: nothing overflows, and the logarithm is of at least 1
    return z - np.log(np.exp(z).sum(axis=0))


def softmax(y: Array) -> Array:
    """Probabilities (K, N) from outputs y (K, N): the exponentials of each column over their sum."""
    p = np.exp(y - np.maximum.reduce(y))  # as y.max(axis=0), which takes longer to come to it
    return p / np.add.reduce(p)


def estimates(y: Array) -> Array:
    """Probabilities from outputs trained by least squares, which estimate the posterior means of one-hot targets.

    What is below zero counts as zero, the rest is normalized; where no output is positive the largest takes all. So the
    most probable class is always that of the largest output.
    """
    p = np.maximum(y, 0)
    largest = p.max(axis=0)
    p[y.argmax(axis=0), np.arange(y.shape[1])] = np.where(largest > 0, largest, 1)
    p /= p.max(axis=0)  # first, so that the sum cannot overflow
    return rows(p / p.sum(axis=0))


def rows(p: Array) -> Array:
    """Columns (K, N) as rows, float32 (N, K)."""
    return np.ascontiguousarray(p.T, dtype=np.float32)
