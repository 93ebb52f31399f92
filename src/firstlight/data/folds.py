"""Folds: all images in k parts of about one size, each to be the test images of a training on the others."""

from __future__ import annotations

import numpy as np

from firstlight.data.stratification import parts_by_group
from firstlight.errors import DataError
from firstlight.randomness import generator
from firstlight.types import Array, Images


def assign_folds(images: Images, folds: int, seed: int) -> Array:
    """The fold of each image, int64 (N,) in 0..folds-1: stratified by class, and no group of images in two folds.

    Without groups, folds differ by one image at most, of each class and altogether. With groups, they are as even as
    these allow. The same seed gives the same folds.

    Raises DataError for fewer than two folds, fewer groups or images of a class than folds, or where the groups leave a
    fold without a class.
    """
    if folds < 2:
        raise DataError(f"data.folds must be at least 2; received {folds}.")
    _check_enough(images, folds)
    if images.groups is not None:
        parts = parts_by_group(images.groups, images.labels, [1 / folds] * folds, [1] * folds, seed, "folds")
        _check_classes(images, parts, folds)
        return parts
    assigned = np.empty(len(images), np.int64)
    first = 0
    for k, count in enumerate(images.counts.tolist()):
        places = generator(seed, "folds", k).permutation(np.flatnonzero(images.labels == k))
        assigned[places] = (first + np.arange(count)) % folds  # where the class before ended, so that folds are even
        first += count
    return assigned


def _check_enough(images: Images, folds: int) -> None:
    """Every class that has images must have one, and one group, for each fold."""
    for k, name in enumerate(images.class_names):
        of_class = images.labels == k
        n = int(of_class.sum())
        held, what = n, "image"
        if images.groups is not None and n:
            held, what = len(np.unique(images.groups[of_class])), "group"
        if held == 1:
            raise DataError(
                f"Class {name!r} has one {what} only, and each of {folds} folds needs one to be tested on. "
                "Add images of it, or leave the class out."
            )
        if 1 < held < folds:
            raise DataError(
                f"Class {name!r} has {held} {what}s, too few for {folds} folds: each needs one to be tested on. Take "
                f"at most {held} folds, add images of it, or leave the class out."
            )


def _check_classes(images: Images, parts: Array, folds: int) -> None:
    """No fold may be without a class that has images."""
    for fold in range(folds):
        counts = np.bincount(images.labels[parts == fold], minlength=len(images.class_names))
        without = np.flatnonzero((images.counts > 0) & (counts == 0))
        if len(without):
            raise DataError(
                f"Fold {fold + 1} of {folds} would have no image of class {images.class_names[without[0]]!r}: the "
                "groups cannot be shared out so that each fold has every class. Take fewer folds, or leave the class "
                "out."
            )
