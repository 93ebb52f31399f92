"""Classes regrouped: ten digits as even and odd, clothes as tops and shoes; or some of them alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from firstlight.errors import DataError, nearest
from firstlight.types import Array, Images


def regroup(splits: Mapping[str, Images], groups: Mapping[str, Sequence[str]]) -> dict[str, Images]:
    """The same images in other classes: `groups` names the new ones and, for each, the old ones that make it up.

    The new classes have the order of `groups`. Images of an old class that is in no group are left out. The splits stay
    as they were drawn, so that a run on new classes trains, validates and tests on the images of one on the old.

    Raises DataError for an unknown class, one in two groups, fewer than two groups, or a split left without images.
    """
    if len(groups) < 2:
        raise DataError(f"data.regroup needs at least two classes; received {', '.join(groups) or 'none'}.")
    old = next(iter(splits.values())).class_names
    into = np.full(len(old), -1)
    for number, (group, members) in enumerate(groups.items()):
        if not members:
            raise DataError(f"data.regroup.{group} lists no class.")
        for member in members:
            if member not in old:
                raise DataError(f"data.regroup.{group}: there is no class {member!r}. {nearest(member, old)}")
            place = old.index(member)
            if into[place] >= 0:
                raise DataError(f"data.regroup: {member!r} is in {list(groups)[into[place]]} and in {group}.")
            into[place] = number
    regrouped = {name: _in_classes(images, into, tuple(groups)) for name, images in splits.items()}
    for name, images in regrouped.items():
        if not len(images):
            members = [member for group in groups.values() for member in group]
            raise DataError(f"The {name} split has no images of {', '.join(members)}: it would be empty.")
    return regrouped


def subset(splits: Mapping[str, Images], classes: Sequence[str]) -> dict[str, Images]:
    """The images of `classes` alone, which are numbered in that order: `regroup` with one old class in each new one.

    Raises DataError for an unknown class, one named twice, fewer than two, or a split left without images.
    """
    if len(classes) < 2:
        raise DataError(f"data.classes needs at least two classes; received {', '.join(classes) or 'none'}.")
    old = next(iter(splits.values())).class_names
    for name in classes:
        if name not in old:
            raise DataError(f"data.classes: there is no class {name!r}. {nearest(name, old)}")
        if classes.count(name) > 1:
            raise DataError(f"data.classes names {name!r} more than once.")
    return regroup(splits, {name: [name] for name in classes})


def _in_classes(images: Images, into: Array, class_names: tuple[str, ...]) -> Images:
    labels = into[images.labels]
    kept = labels >= 0
    left = images if kept.all() else images.take(kept)
    return replace(left, labels=labels[kept], class_names=class_names)
