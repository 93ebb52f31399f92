"""Samples: a row of images of each split, from as many classes as fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from firstlight.records.group import Group, leader, present
from firstlight.report.document import Block, ImageGrid, Picture, Section
from firstlight.report.format import counted
from firstlight.report.tasks import by_task
from firstlight.types import SPLITS, Array, Images

SAMPLES = 10  # of a split


@dataclass(frozen=True, eq=False)
class Samples:
    """The images of a split that were kept, their classes as they are shown, and how many the split has."""

    images: Images
    class_names: Sequence[str]
    total: int


def numbers(group: Group) -> dict[str, Samples]:
    """The samples of the first run, by split."""
    run = group.first
    found = {split: run.samples[split] for split in SPLITS if split in run.samples and len(run.samples[split])}
    return {
        split: Samples(images, run.class_names, sum(run.counts.get(split, ())) or len(images))
        for split, images in found.items()
    }


def spread(images: Images, size: int = SAMPLES) -> Array:
    """Indices of `size` images that show as many classes as they can, in the order of the classes."""
    seen: dict[int, int] = {}
    turn = np.zeros(len(images), dtype=np.int64)
    for i, label in enumerate(images.labels.tolist()):
        turn[i] = seen[label] = seen.get(label, -1) + 1
    chosen = np.lexsort((images.labels, turn))[:size]
    return chosen[np.lexsort((turn[chosen], images.labels[chosen]))]


def section(groups: Sequence[Group]) -> Section | None:
    """The images of the run that stands for the best, for each task."""
    if not any(numbers(group) for group in present(groups)):
        return None
    return by_task("The images", "images", groups, lambda task: blocks(numbers(leader(task))))


def blocks(found: Mapping[str, Samples]) -> tuple[Block, ...]:
    """A row per split, in the order of the classes."""
    return tuple(
        ImageGrid(
            tuple(Picture(of.images.pixels[i], of.class_names[of.images.labels[i]]) for i in spread(of.images)),
            columns=SAMPLES,
            caption=f"{split.capitalize()}: {counted(of.total, 'image')}.",
            kind="samples",
        )
        for split, of in found.items()
    )


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd images, by what is odd."""

    def odd(n: int, *shape: int) -> Samples:
        labels = np.arange(n) % 2
        return Samples(
            Images(np.full((n, *shape), 90, np.uint8), labels, labels.astype(str), ("a", "b")), ("<b>", "b"), n
        )

    return {"one image": blocks({"test": odd(1, 9, 12, 1)}), "large": blocks({"train": odd(12, 200, 90, 3)})}
