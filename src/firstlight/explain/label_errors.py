"""Labels that may be wrong: confident learning on the predictions, then the labels of the nearest training images."""

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
WITNESSES = 10  # nearest training images of each


@dataclass(frozen=True)
class LabelCandidate:
    """An image whose label may be wrong.

    index             into the predictions
    given, suggested  the label, and the class that it seems to be
    margin            the probability of `suggested` less that of `given`, above 0
    neighbours_agree  the share of its nearest training images that are labelled `suggested`; None without these
    seconded          more of them are labelled `suggested` than `given`; False without these
    """

    index: int
    given: int
    suggested: int
    margin: float
    neighbours_agree: float | None
    seconded: bool


def find_label_issues(predictions: Predictions, neighbour_labels: Array | None = None) -> tuple[LabelCandidate, ...]:
    """Images whose label may be wrong, those that most deserve a look first: by confident learning, then by neighbours.

    Confident learning (Northcutt, Jiang and Chuang 2021, https://doi.org/10.1613/jair.1.12125): a class's threshold is
    the mean probability that the net gives to it for images that bear it. An image whose most probable class above its
    threshold is not its label is a candidate. So a class of which the net is seldom sure asks for less than one of
    which it always is. As there, a candidate is let go where the net finds its label the more probable all the same.

    neighbour_labels  int (N, k), the labels of the nearest training images, as a second witness: doubts that they
                      second go first; within both groups, the largest margin first

    The net must not have learnt from these images: give predictions of validation or test images. Of its training
    images it has learnt the wrong labels too. A doubt is a reason to look, not a finding: hard images with right labels
    are among them. Nor are the two witnesses independent, where the neighbours are by the same net's features.

    Raises DataError where arrays do not fit each other.
    """
    p, given = predictions.probabilities.astype(np.float64), predictions.labels
    n, classes = p.shape
    if not n:
        return ()
    if not 0 <= int(given.min()) <= int(given.max()) < classes:
        raise DataError(f"Labels must lie in 0..{classes - 1}; received {int(given.min())}..{int(given.max())}.")
    own = p[np.arange(n), given]
    counts = np.bincount(given, minlength=classes)
    sums = np.bincount(given, weights=own, minlength=classes)
    # Of what no image is labelled, nothing is known: nothing reaches its threshold.
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    above = np.where(p >= thresholds, p, -1.0)
    suggested = above.argmax(axis=1)
    margins = above.max(axis=1) - own
    candidates = np.flatnonzero((suggested != given) & (margins > 0))

    agree, seconded = _witness(neighbour_labels, given, suggested)
    order = np.lexsort((-margins[candidates], ~seconded[candidates]))
    return tuple(
        LabelCandidate(
            index=int(i),
            given=int(given[i]),
            suggested=int(suggested[i]),
            margin=float(margins[i]),
            neighbours_agree=None if agree is None else float(agree[i]),
            seconded=bool(seconded[i]),
        )
        for i in candidates[order]
    )


def _witness(labels: Array | None, given: Array, suggested: Array) -> tuple[Array | None, Array]:
    """The share of each image's neighbours that are labelled as suggested, and whether that is more than as given."""
    if labels is None:
        return None, np.zeros(len(given), bool)
    if labels.ndim != 2 or len(labels) != len(given) or not labels.shape[1]:
        raise DataError(f"{len(given)} predictions need a row of neighbours' labels each; received {labels.shape}.")
    agree = (labels == suggested[:, None]).mean(axis=1)
    return agree, agree > (labels == given[:, None]).mean(axis=1)


def label_issues(run: ExplainedRun, train: ImageFeatures, layer: str, progress: Progress) -> tuple[LabelIssue, ...]:
    """Labels of validation and test images that may be wrong, the likeliest first.

    Neighbours are asked about the candidates with the largest margins alone: that is where they can decide anything.
    """
    parts = {split: found for split, found in run.predictions.items() if len(found)}
    splits = np.repeat([*parts], [len(found) for found in parts.values()])
    fields = ((found.ids, found.labels, found.probabilities) for found in parts.values())
    pooled = Predictions(*(np.concatenate(arrays) for arrays in zip(*fields, strict=True)))
    doubted = sorted(find_label_issues(pooled), key=lambda doubt: -doubt.margin)[:CANDIDATES]
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
        for doubt in [doubt for doubt in find_label_issues(pooled, labels) if doubt.index in place][:ISSUES]
    )
