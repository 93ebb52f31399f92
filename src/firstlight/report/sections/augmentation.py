"""Augmentation: training images, each beside what was drawn for it in the first epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from firstlight.records.group import Group
from firstlight.report.document import Block, ImageGrid, Picture, Section
from firstlight.types import Array


@dataclass(frozen=True, eq=False)
class Augmented:
    """A training image, uint8 (H, W, C), its class, and what was drawn for it in each of the first epochs."""

    original: Array
    name: str
    drawn: Sequence[Array]


def numbers(group: Group) -> list[Augmented]:
    """The images of the first run; none where none were kept."""
    run = group.first
    originals, drawn = run.samples.get("train"), run.samples.get("augmented")
    if originals is None or drawn is None:
        return []
    return [
        Augmented(originals.pixels[i], run.class_names[originals.labels[i]], drawn.pixels[drawn.ids == name])
        for name in dict.fromkeys(drawn.ids.tolist())
        for i in np.flatnonzero(originals.ids == name)[:1]
    ]


CAPTION = (
    "Training images, each with what was drawn for it in the first epochs: what the model learnt from. Can you still "
    "tell the class of each? Then the model can learn it. Validation and test images are as they are."
)


def section(groups: Sequence[Group]) -> Section | None:
    """The images of a single group, where there are any."""
    found = numbers(groups[0]) if len(groups) == 1 and groups[0].runs else []
    return Section("Augmented", "augmented", blocks(found)) if found else None


def blocks(found: Sequence[Augmented]) -> tuple[Block, ...]:
    """A row an image, the original first."""
    pictures: list[Picture] = []
    for one in found:
        pictures.append(Picture(one.original, one.name, "original"))
        pictures += [Picture(pixels, f"epoch {epoch}") for epoch, pixels in enumerate(one.drawn, 1)]
    columns = 1 + max(len(one.drawn) for one in found)
    return (ImageGrid(tuple(pictures), columns, CAPTION, kind="augmented"),)


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd images, by what is odd."""
    grey, colour = (np.full((9, 12, channels), 90, np.uint8) for channels in (1, 3))
    return {
        "grey": blocks([Augmented(grey, "<b>", [grey, 255 - grey])]),
        "colour, of one epoch": blocks([Augmented(colour, "cat", [colour]), Augmented(colour, "dog", [])]),
    }
