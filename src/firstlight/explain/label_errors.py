"""Suspected label errors: by what a net says that was not trained on the image, and by its neighbours' labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firstlight.errors import DataError
from firstlight.explain.explained_run import ExplainedRun, Progress
from firstlight.explain.features import ImageFeatures, extract_features
from firstlight.explain.neighbours import nearest_rows
from firstlight.records.explanation import LabelIssue
from firstlight.types import Array, Predictions

ISSUES = 24  # that are kept
CANDIDATES = 240  # of the largest margins, whose neighbours are asked
WITNESSES = 15  # nearest images of each
SURE = 0.95  # the mean of probability and share of neighbours from which on both are sure of a class
FLOOR = 1e-3  # added to a probability: below it, how sure a net is says little
HALF = 0.5  # a neighbour, added to the count of each class, so that no class is ruled out by a few images


@dataclass(frozen=True)
class LabelCandidate:
    """An image whose label may be wrong.

    index             into the predictions
    given, suggested  the label, and the class that it seems to be
    margin            the probability of `suggested` less that of `given`
    neighbours_agree  the share of its nearest images that are labelled `suggested`; None without these
    seconded          more of them are labelled `suggested` than `given`; False without these
    score             the log of the odds of `suggested` against `given`, by the net and by the neighbours where these
                      are asked, as independent witnesses
    """

    index: int
    given: int
    suggested: int
    margin: float
    neighbours_agree: float | None
    seconded: bool
    score: float


def find_label_issues(predictions: Predictions, neighbour_labels: Array | None = None) -> tuple[LabelCandidate, ...]:
    """Images whose label may be wrong, those that most deserve a look first.

    neighbour_labels  int (N, k), the labels of the nearest images, as a second witness: see `by_two_witnesses`. A row
                      of -1 is of an image whose neighbours were not asked, and which is left out. Without any,
                      `by_confident_learning`

    The net must not have been trained on these images: give out-of-fold predictions, or those of validation or test
    images.
    Of its training images it has learnt the wrong labels too. A doubt is a reason to look, not a finding: hard images
    with right labels are among them. Nor are the two witnesses independent, where the neighbours are by the same net's
    features.

    Raises DataError where arrays do not fit each other.
    """
    p, given = predictions.probabilities.astype(np.float64), predictions.labels
    n, classes = p.shape
    if not n:
        return ()
    if not 0 <= int(given.min()) <= int(given.max()) < classes:
        raise DataError(f"Labels must lie in 0..{classes - 1}; received {int(given.min())}..{int(given.max())}.")
    rows = np.arange(n)
    if neighbour_labels is None:
        suggested, order = by_confident_learning(p, given)
        shares = None
        score = np.log(p[rows, suggested] + FLOOR) - np.log(p[rows, given] + FLOOR)
    else:
        shares = _shares(neighbour_labels, n, classes)
        suggested, score, order = by_two_witnesses(p, shares, neighbour_labels.shape[1], given)
        order = order[neighbour_labels[order, 0] >= 0]
    return tuple(
        LabelCandidate(
            index=int(i),
            given=int(given[i]),
            suggested=int(suggested[i]),
            margin=float(p[i, suggested[i]] - p[i, given[i]]),
            neighbours_agree=None if shares is None else float(shares[i, suggested[i]]),
            seconded=shares is not None and bool(shares[i, suggested[i]] > shares[i, given[i]]),
            score=float(score[i]),
        )
        for i in order
    )


def by_confident_learning(p: Array, given: Array) -> tuple[Array, Array]:
    """The class that each image seems to be, int (N,), and the images in doubt, the largest margin first.

    Confident learning (Northcutt, Jiang and Chuang 2021, https://doi.org/10.1613/jair.1.12125): a class's threshold is
    the mean probability that the net gives to it for images that bear it. An image whose most probable class above its
    threshold is not its label is in doubt. So a class of which the net is seldom sure asks for less than one of which
    it always is. As there, a doubt is let go where the net finds the label the more probable all the same.
    """
    classes = p.shape[1]
    own = p[np.arange(len(p)), given]
    counts = np.bincount(given, minlength=classes)
    sums = np.bincount(given, weights=own, minlength=classes)
    # Of what no image is labelled, nothing is known: nothing reaches its threshold.
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    above = np.where(p >= thresholds, p, -1.0)
    suggested, margins = above.argmax(axis=1), above.max(axis=1) - own
    found = np.flatnonzero((suggested != given) & (margins > 0))
    return suggested, found[np.argsort(-margins[found], kind="stable")]


def by_two_witnesses(p: Array, shares: Array, k: int, given: Array) -> tuple[Array, Array, Array]:
    """The class that each image seems to be, int (N,), its log odds against the label, and the images in doubt.

    shares  (N, K), of the classes among the labels of the k nearest images

    An image is in doubt where the net's probabilities and the shares, multiplied as those of independent witnesses are,
    give odds above 1 to another class. First go those of which both are sure: where the mean of probability and share
    is 0.95 or more for another class, by its lead over the label. The others follow by their odds.

    Measured beside other orders (docs/why/label_errors.md): by odds alone, images that look like no class stand first
    where labels are confused between classes alike; by margins alone, a wrong label of an image that is hard to tell is
    found late. Confident learning's thresholds are not asked: they let a fifth to a third of the wrong labels go.
    """
    rows = np.arange(len(p))
    odds = np.log(p + FLOOR) + np.log((shares * k + HALF) / (k + HALF * p.shape[1]))
    label = odds[rows, given]
    odds[rows, given] = -np.inf
    suggested = odds.argmax(axis=1)
    score = odds.max(axis=1) - label
    mean = (p + shares) / 2
    sure = mean[rows, suggested] >= SURE
    margin = mean[rows, suggested] - mean[rows, given]
    found = np.flatnonzero(score > 0)
    order = np.lexsort((-np.where(sure, margin, score)[found], ~sure[found]))
    return suggested, score, found[order]


def _shares(labels: Array, n: int, classes: int) -> Array:
    """The share of each class among the labels of each image's neighbours, (N, K)."""
    if labels.ndim != 2 or len(labels) != n or not labels.shape[1]:
        raise DataError(f"{n} predictions need a row of neighbours' labels each; received {labels.shape}.")
    return np.stack([(labels == each).mean(axis=1) for each in range(classes)], axis=1)


def label_issues(run: ExplainedRun, train: ImageFeatures, layer: str, progress: Progress) -> tuple[LabelIssue, ...]:
    """Labels of validation and test images that may be wrong, the likeliest first.

    Neighbours are asked about the candidates with the largest margins alone: that is where they can decide anything.
    """
    parts = {split: found for split, found in run.predictions.items() if len(found)}
    splits = np.repeat([*parts], [len(found) for found in parts.values()])
    fields = ((found.ids, found.labels, found.probabilities) for found in parts.values())
    pooled = Predictions(*(np.concatenate(arrays) for arrays in zip(*fields, strict=True)))
    doubted = find_label_issues(pooled)[:CANDIDATES]
    if not doubted:
        return ()
    rows = np.array([doubt.index for doubt in doubted])
    images = run.images(splits[rows], pooled.ids[rows])
    doubtful = extract_features(run.net, images, layer, "features of doubtful labels", progress)
    near = nearest_rows(train.features, doubtful.features, WITNESSES)
    labels = np.full((len(pooled), near.indices.shape[1]), -1)
    labels[rows] = train.images.labels[near.indices]
    place = {int(row): i for i, row in enumerate(rows)}
    return tuple(
        LabelIssue(
            id=str(pooled.ids[doubt.index]),
            split=str(splits[doubt.index]),
            given=doubt.given,
            suggested=doubt.suggested,
            margin=doubt.margin,
            neighbours_agree=doubt.neighbours_agree or 0.0,
            pixels=images.pixels[place[doubt.index]],
        )
        for doubt in find_label_issues(pooled, labels)[:ISSUES]
    )
