"""Training, validation and test images: as published where they are, otherwise drawn by seed, stratified, in groups."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from firstlight.data.folds import assign_folds
from firstlight.data.groups import must_not_be_divided
from firstlight.data.stratification import parts_by_group
from firstlight.errors import DataError
from firstlight.randomness import generator
from firstlight.text import listed
from firstlight.types import SPLITS, Array, Dataset, Images, joined

VALIDATION, TEST = 0.1, 0.2  # the usual fractions of a set that has no such split


def split(
    dataset: Dataset,
    *,
    validation: float = VALIDATION,
    test: float = TEST,
    seed: int = 0,
    limit: int | None = None,
    classes: Collection[str] = (),
) -> dict[str, Images]:
    """Return the images by "train", "validation" and "test": disjoint, and together all of the dataset's.

    A split that the dataset brings stays as it is. One that it lacks is drawn from the training images: `validation`
    and `test` are the fractions of these, each class in proportion, rounded so that the totals are right. A class too
    small for its proportion to make an image gives one all the same, so that a total may exceed its fraction. The same
    seed draws the same images, and the test images do not depend on `validation`. A fraction of 0 gives no such split.
    `limit` then keeps that many training images, in proportion and at least one per class, for a quick look.
    Where images have groups, no group comes into two splits: the fractions, and the proportions of the classes, are
    met as nearly as whole groups allow.
    Where only some `classes` will be used, the limit counts these alone, and only these need enough images; which of
    their images come into which split does not depend on it.

    Raises DataError when a fraction or the limit is out of range, a class has too few images or groups for every split,
    or a group is in two of the splits that the dataset brings.
    """
    train = dataset.splits["train"]
    fractions = {"test": test, "validation": validation}
    asked = {name: fraction for name, fraction in fractions.items() if name not in dataset.splits}
    _check_fractions(asked)
    drawn = {name: fraction for name, fraction in asked.items() if fraction}
    wanted = np.array([not classes or name in classes for name in train.class_names])
    must_not_be_divided(dataset, wanted)
    _check_enough(dataset, [name for name in SPLITS if name == "train" or name in drawn], wanted)
    if limit is not None and limit < wanted.sum():
        raise DataError(f"data.limit must be at least {wanted.sum()} training images, one per class; received {limit}.")

    parts = dict(dataset.splits)
    if train.groups is not None:
        by_name, left_over = _in_groups(dataset, drawn, wanted, seed)
        parts |= {name: train.take(np.flatnonzero(chosen)) for name, chosen in by_name.items()}
    else:
        left_over = np.ones(len(train), bool)
    # a key of its own for each class: images added to another class do not change the draw
    remaining = [
        generator(seed, "split", k).permutation(np.flatnonzero((train.labels == k) & left_over))
        for k in range(len(wanted))
    ]
    for name, fraction in drawn.items() if train.groups is None else ():
        counts = np.maximum(1, _proportional(train.counts, round(fraction * len(train))))
        parts[name] = _take(train, [indices[:count] for indices, count in zip(remaining, counts, strict=True)])
        remaining = [indices[count:] for indices, count in zip(remaining, counts, strict=True)]
    left = np.array([len(indices) for indices in remaining])
    _check_left(dataset, left, drawn, wanted)
    if limit is not None and wanted.any():
        whole = int(left[wanted].sum())
        counts = left * min(limit, whole) // whole
        counts[wanted] = _at_least_one(_proportional(left[wanted], min(limit, whole)), left[wanted])
        remaining = [indices[:count] for indices, count in zip(remaining, counts, strict=True)]
    parts["train"] = _take(train, remaining)
    return {name: parts[name] for name in SPLITS if name in parts}


def _in_groups(
    dataset: Dataset, drawn: Mapping[str, float], wanted: Array, seed: int
) -> tuple[dict[str, Array], Array]:
    """The training images that each split takes in whole groups, and those that are left: boolean (N,) each."""
    train = dataset.splits["train"]
    assert train.groups is not None, "images without groups are drawn one by one"
    left = np.ones(len(train), bool)
    found = {}
    for place, (name, fraction) in enumerate(drawn.items()):  # one after the other: test does not depend on validation
        share = min(0.99, fraction * len(train) / max(1, int(left.sum())))
        others = len(drawn) - place  # splits that are still to come, train among them
        shares, needed = [1 - share, share], [others, 1]
        parts = parts_by_group(train.groups[left], train.labels[left], shares, needed, seed, "split", name)
        found[name] = np.zeros(len(train), bool)
        found[name][np.flatnonzero(left)[parts == 1]] = True
        left &= ~found[name]
    for name, chosen in {"train": left, **found}.items():
        counts = np.bincount(train.labels[chosen], minlength=len(wanted))
        without = np.flatnonzero(wanted & (train.counts > 0) & (counts == 0))
        if len(without):
            raise DataError(_too_few_groups(dataset, train.class_names[without[0]], name, ["train", *drawn]))
    return found, left


def _too_few_groups(dataset: Dataset, class_name: str, split: str, needing: Sequence[str]) -> str:
    """That a split would be without a class, and why."""
    train = dataset.splits["train"]
    assert train.groups is not None, "it was split by groups"
    groups = len(np.unique(train.groups[train.labels == train.class_names.index(class_name)]))
    why = (
        f"it is in {groups} group{'' if groups == 1 else 's'} (data.group), and needs {len(needing)}, one each for "
        f"{listed(needing)}"
        if groups < len(needing)
        else f"its {groups} groups (data.group) cannot be shared out so that each split has every class"
    )
    return (
        f"{dataset.name}: there would be no images of class {class_name!r} in {split}: {why}. Add groups of it, leave "
        "the class out (data.classes), or ask for fewer splits (data.validation = 0)."
    )


def pooled(dataset: Dataset) -> Dataset:
    """The same images in one split, to be split again: the dataset itself where they are in one already."""
    if set(dataset.splits) == {"train"}:
        return dataset
    parts = [dataset.splits[name] for name in SPLITS if name in dataset.splits]
    return replace(dataset, splits={"train": joined(parts)})


def hold_out(dataset: Dataset, folds: int, fold: int, seed: int, classes: Collection[str] = ()) -> Dataset:
    """The same images with one fold of them, from 1 to `folds`, as the test split; those of a source are one split.

    Where only some `classes` will be used, these alone are shared out, and the images of the others stay in train.

    Raises DataError where the images cannot be shared out into so many folds.
    """
    images = pooled(dataset).splits["train"]
    used = [k for k, name in enumerate(images.class_names) if not classes or name in classes]
    shared = np.flatnonzero(np.isin(images.labels, used))
    held = np.zeros(len(images), bool)
    held[shared] = assign_folds(images.take(shared), folds, seed) == fold - 1
    if images.groups is not None:
        held = np.isin(images.groups, images.groups[held])  # with what the group has of classes that are left out
    return replace(dataset, splits={"train": images.take(~held), "test": images.take(held)})


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


def _at_least_one(shares: Array, counts: Array) -> Array:
    """The shares of classes of `counts` images with none below one: those furthest above their proportion give."""
    exact = counts * (shares.sum() / counts.sum())
    shares = shares.copy()
    for k in np.flatnonzero(shares < 1):
        giver = np.where(shares > 1, shares - exact, -np.inf).argmax()
        shares[giver] -= 1
        shares[k] = 1
    return shares


def _check_fractions(fractions: dict[str, float]) -> None:
    for name, fraction in fractions.items():
        if not 0 <= fraction < 1:
            raise DataError(
                f"data.{name} is a fraction of the training images, 0 ≤ data.{name} < 1; received {fraction}."
            )
    if sum(fractions.values()) >= 1:
        raise DataError(
            f"data.validation and data.test together must leave images to train on; they take {sum(fractions.values())}"
            " of them."
        )


def _check_enough(dataset: Dataset, needing: Sequence[str], wanted: Array) -> None:
    """Every class that is wanted must have an image for each split that is taken from the training images."""
    train = dataset.splits["train"]
    few = np.flatnonzero(wanted & (train.counts < len(needing)))
    if len(few):
        images = int(train.counts[few[0]])
        raise DataError(
            f"{dataset.name}: class {train.class_names[few[0]]!r} has {images} training "
            f"image{'' if images == 1 else 's'}, too few: it needs {len(needing)}, one each for {', '.join(needing)}. "
            "Add images of it, or leave the class out."
        )


def _check_left(dataset: Dataset, left: Array, drawn: Mapping[str, float], wanted: Array) -> None:
    none = np.flatnonzero(wanted & (left < 1))
    if len(none):
        train = dataset.splits["train"]
        taken = listed(f"data.{name} = {fraction:g}" for name, fraction in drawn.items())
        raise DataError(
            f"{dataset.name}: class {train.class_names[none[0]]!r} has {train.counts[none[0]]} images, too few: with "
            f"{taken}, none of them goes into train. Add images of it, leave the class out, or lower "
            f"{listed((f'data.{name}' for name in drawn), 'or')}."
        )
