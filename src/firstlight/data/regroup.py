"""Classes put together anew: ten digits as even and odd, clothes as tops and shoes."""

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
            raise DataError(f"data.regroup.{group} names no class of the images.")
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
            raise DataError(f"data.regroup leaves the {name} split without images.")
    return regrouped


def _in_classes(images: Images, into: Array, class_names: tuple[str, ...]) -> Images:
    labels = into[images.labels]
    kept = labels >= 0
    if kept.all():
        return replace(images, labels=labels, class_names=class_names)
    return Images(images.pixels[kept], labels[kept], images.ids[kept], class_names)
