"""The rows that lie nearest to others, exactly, by Euclidean distance.

That is the distance by which maps are made and separation is measured, so picture, numbers and neighbours speak of
the same thing; and unlike the cosine it knows what to say of an image for which all features are zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.neighbors import NearestNeighbors

from firstlight.errors import DataError
from firstlight.explain.explained_run import ExplainedRun, Progress, Steps
from firstlight.explain.features import ImageFeatures, extract_features, finite_rows
from firstlight.explain.mistakes import confident_mistakes
from firstlight.progress import unwatched
from firstlight.records.explanation import Mistake, Neighbours
from firstlight.types import Array, Images

BLOCK = 1000  # rows asked about at once: Ctrl-C and progress come in between
CANDIDATES = 10_000  # training images, drawn by the seed, among which neighbours are sought
NEAREST = 5  # training images shown beside a mistake


class Nearest(NamedTuple):
    """The nearest rows to each of Q, the nearest first: indices int64 (Q, k) and distances float32 (Q, k)."""

    indices: Array
    distances: Array


def nearest_rows(features: Array, queries: Array, k: int, progress: Steps | None = None) -> Nearest:
    """The `k` rows of `features` (N, D) nearest to each of `queries` (Q, D), or all N where there are fewer.

    Memory grows with N + Q and not with their product. Of rows at the same distance, those with lower indices go
    first among the k; which of them are among the k is left open.

    Raises DataError where the arrays are not finite numbers or do not fit each other.
    """
    x, q = finite_rows(features), finite_rows(queries, "queries")
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


def mistakes_with_neighbours(
    run: ExplainedRun,
    *,
    true: str | None = None,
    predicted: str | None = None,
    layer: str | None = None,
    count: int | None = None,
    progress: Progress = unwatched,
) -> tuple[Mistake, ...]:
    """The mistakes on test images with the training images that lie nearest in what a layer gives, the surest first.

    true, predicted, count  see `confident_mistakes`, also for what it raises
    layer                   the last hidden one unless given; ModelError for an unknown one
    """
    chosen = run.net.place(layer or run.net.hidden).path
    found = run.predictions["test"]
    wrong = confident_mistakes(found, run.class_names, true=true, predicted=predicted, count=count)
    if not len(wrong):
        return ()
    train = extract_features(run.net, candidates(run), chosen, "features of training images", progress)
    return nearest_to_mistakes(run, wrong, train, chosen, progress)


def candidates(run: ExplainedRun, points: int = 0) -> Images:
    """The training images among which neighbours are sought, at least as many as a map has points."""
    return run.splits["train"].take(run.drawn("train", max(CANDIDATES, points)))


def nearest_to_mistakes(
    run: ExplainedRun, wrong: Array, train: ImageFeatures, layer: str, progress: Progress
) -> tuple[Mistake, ...]:
    """Wrong answers, by their rows in the predictions, with the training images that lie nearest."""
    predictions = run.predictions["test"]
    if not len(wrong):
        return ()
    images = run.images(["test"] * len(wrong), predictions.ids[wrong])
    found = extract_features(run.net, images, layer, "features of mistakes", progress)
    near = nearest_rows(train.features, found.features, NEAREST)
    return tuple(
        Mistake(
            id=str(images.ids[i]),
            label=int(images.labels[i]),
            predicted=int(predictions.predicted[row]),
            confidence=float(predictions.confidence[row]),
            pixels=images.pixels[i],
            nearest=_neighbours(train.images.take(near.indices[i]), near.distances[i]),
        )
        for i, row in enumerate(wrong)
    )


def _neighbours(images: Images, distances: Array) -> Neighbours:
    return Neighbours(images.ids, images.labels, distances, np.asarray(images.pixels))
