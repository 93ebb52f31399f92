"""What a net got wrong, and where perhaps the label is what is wrong: read off predictions alone.

All answers are indices into the predictions, so that ids, pixels and neighbours of the same images stay at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from firstlight.errors import DataError, nearest
from firstlight.evaluation import most_confident_mistakes
from firstlight.types import Array, Predictions


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


def confident_mistakes(
    predictions: Predictions,
    class_names: Sequence[str],
    *,
    true: str | None = None,
    predicted: str | None = None,
    count: int | None = None,
) -> Array:
    """Indices of the mistakes made with the highest confidence, the surest first, at most `count`; int64.

    true, predicted  the names of the true class and of the class that it was taken for; any unless given

    High confidence in a wrong answer is where a net misleads most. It is no sign that the label is wrong: most nets
    are surer than they are right (see `label_doubts`).

    Raises DataError for a name that is none of the classes, with the nearest that is.
    """
    of = None if true is None else class_number(true, class_names)
    if true is not None and true == predicted:
        raise DataError(f"An image of {true} that is predicted as {true} is no mistake: give two different classes.")
    found = most_confident_mistakes(predictions, len(predictions), of)
    if predicted is not None:
        found = found[predictions.predicted[found] == class_number(predicted, class_names)]
    return found[:count]


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


def class_number(name: str, class_names: Sequence[str]) -> int:
    """Which class is called `name`. Raises DataError where none is, with the nearest that exists."""
    if name not in class_names:
        raise DataError(f"There is no class called {name!r}. {nearest(name, class_names)}")
    return list(class_names).index(name)


def _witness(labels: Array | None, given: Array, suggested: Array) -> tuple[Array | None, Array]:
    """The share of each image's neighbours that are labelled as suggested, and whether that is more than as given."""
    if labels is None:
        return None, np.zeros(len(given), bool)
    if labels.ndim != 2 or len(labels) != len(given) or not labels.shape[1]:
        raise DataError(f"{len(given)} predictions need a row of neighbours' labels each; received {labels.shape}.")
    agree = (labels == suggested[:, None]).mean(axis=1)
    return agree, agree > (labels == given[:, None]).mean(axis=1)
