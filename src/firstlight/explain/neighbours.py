"""The rows that lie nearest to others, exactly, by Euclidean distance.

That is the distance by which maps are made and separation is measured, so picture, numbers and neighbours speak of
the same thing; and unlike the cosine it knows what to say of an image for which all features are zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.neighbors import NearestNeighbors

from firstlight.errors import DataError
from firstlight.explain.projection import Progress, rows
from firstlight.types import Array

BLOCK = 1000  # rows asked about at once: Ctrl-C and progress come in between


class Nearest(NamedTuple):
    """The nearest rows to each of Q, the nearest first: indices int64 (Q, k) and distances float32 (Q, k)."""

    indices: Array
    distances: Array


def nearest_rows(features: Array, queries: Array, k: int, progress: Progress | None = None) -> Nearest:
    """The `k` rows of `features` (N, D) nearest to each of `queries` (Q, D), or all N where there are fewer.

    Memory grows with N + Q and not with their product. Of rows at the same distance, those with lower indices go
    first among the k; which of them are among the k is left open.

    Raises DataError where the arrays are no finite numbers or do not fit each other.
    """
    x, q = rows(features), rows(queries, "queries")
    if x.shape[1] != q.shape[1]:
        raise DataError(f"Queries need as many features as the rows: {x.shape[1]}; received {q.shape[1]}.")
    if k < 1:
        raise DataError(f"The number of neighbours must be at least 1; received {k}.")
    k = min(k, len(x))
    found = Nearest(np.empty((len(q), k), np.int64), np.empty((len(q), k), np.float32))
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(x)
    for start in range(0, len(q), BLOCK):
        block = slice(start, start + BLOCK)
        indices = search.kneighbors(q[block], return_distance=False)
        # The search takes distances from products, in which those of equal rows are not quite zero.
        distances = np.linalg.norm(x[indices] - q[block, None], axis=2)
        order = np.lexsort((indices, distances), axis=1)
        found.indices[block] = np.take_along_axis(indices, order, axis=1)
        found.distances[block] = np.take_along_axis(distances, order, axis=1)
        if progress:
            progress(min(start + BLOCK, len(q)), len(q))
    return found


def nearest_others(features: Array, chosen: Array, k: int) -> Nearest:
    """The `k` rows nearest to each of the rows `chosen` by index, itself left out; all others where there are fewer."""
    if len(features) < 2:
        raise DataError(f"A row has no neighbours among {len(features)}.")
    found = nearest_rows(features, features[chosen], min(k, len(features) - 1) + 1)
    itself = found.indices == chosen[:, None]
    itself[:, -1] |= ~itself.any(axis=1)  # crowded out by equal rows: the last of these goes instead
    kept = (len(chosen), found.indices.shape[1] - 1)
    return Nearest(found.indices[~itself].reshape(kept), found.distances[~itself].reshape(kept))
