"""Training, validation and test images: as published where they are, otherwise drawn by seed and stratified."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from firstlight.errors import DataError
from firstlight.randomness import generator
from firstlight.types import SPLITS, Array, Dataset, Images


def split(
    dataset: Dataset, *, validation: float = 0.1, test: float = 0.2, seed: int = 0, limit: int | None = None
) -> dict[str, Images]:
    """Return the images by "train", "validation" and "test": disjoint, and together all of the dataset's.

    A split that the dataset brings stays as it is. One that it lacks is drawn from the training images: `validation`
    and `test` are the fractions of these, each class in proportion, rounded so that the totals are right. The same
    seed draws the same images, and the test images do not depend on `validation`. A fraction of 0 gives no such split.
    `limit` then keeps that many training images, in proportion, for a quick look.

    Raises DataError when a fraction or the limit is out of range or leaves a class without images in a split.
    """
    train = dataset.splits["train"]
    fractions = {"test": test, "validation": validation}
    drawn = {name: fraction for name, fraction in fractions.items() if name not in dataset.splits}
    _check_fractions(drawn)
    if limit is not None and limit < 1:
        raise DataError(f"data.limit must be at least 1 training image; received {limit}.")

    # a key of its own for each class: images added to another class do not change the draw
    remaining = [
        generator(seed, "split", k).permutation(np.flatnonzero(train.labels == k))
        for k in range(len(train.class_names))
    ]
    parts = dict(dataset.splits)
    for name in (name for name, fraction in drawn.items() if fraction):
        counts = _proportional(train.counts, round(drawn[name] * len(train)))
        _check_counts(dataset, name, counts, f"{name} = {drawn[name]:g}")
        parts[name] = _take(train, [indices[:count] for indices, count in zip(remaining, counts, strict=True)])
        remaining = [indices[count:] for indices, count in zip(remaining, counts, strict=True)]
    left = np.array([len(indices) for indices in remaining])
    _check_counts(dataset, "train", left, "the fractions for validation and test")
    if limit is not None:
        counts = _proportional(left, min(limit, int(left.sum())))
        _check_counts(dataset, "train", counts, f"limit = {limit}")
        remaining = [indices[:count] for indices, count in zip(remaining, counts, strict=True)]
    parts["train"] = _take(train, remaining)
    return {name: parts[name] for name in SPLITS if name in parts}


def _take(images: Images, by_class: Sequence[Array]) -> Images:
    """The images chosen of each class, in their first order."""
    return images.take(np.sort(np.concatenate(by_class)).astype(np.int64))


def _proportional(counts: Array, total: int) -> Array:
    """Share `total` out over classes of `counts` images: each gets its proportion, rounded down or up.

    The largest remainders are rounded up (Hamilton's method), ties in the order of the classes.
    """
    shares, remainders = np.divmod(counts * total, max(1, int(counts.sum())))
    short = total - int(shares.sum())
    shares[np.argsort(-remainders, kind="stable")[:short]] += 1
    return shares


def _check_fractions(fractions: dict[str, float]) -> None:
    for name, fraction in fractions.items():
        if not 0 <= fraction < 1:
            raise DataError(f"data.{name} is a fraction of the training images, 0 ≤ {name} < 1; received {fraction}.")
    if sum(fractions.values()) >= 1:
        raise DataError(
            f"data.validation and data.test together must leave images to train on; they take {sum(fractions.values())}"
            " of them."
        )


def _check_counts(dataset: Dataset, name: str, counts: Array, asked: str) -> None:
    train = dataset.splits["train"]
    none = np.flatnonzero(counts < 1)
    if len(none):
        raise DataError(
            f"{dataset.name}: class {train.class_names[none[0]]!r} has {train.counts[none[0]]} images, too few: with "
            f"{asked}, none of them goes into {name}. Add images of it, leave the class out, or change "
            f"{asked.split(' =')[0]}."
        )
