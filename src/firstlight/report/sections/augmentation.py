"""Augmentation: training images, each beside what was drawn for it in the first epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from firstlight.records.group import Group
from firstlight.report.document import Block, ImageGrid, Picture, Section
from firstlight.report.format import percent
from firstlight.types import Array, Images, MixedImages


@dataclass(frozen=True, eq=False)
class Augmented:
    """A training image, uint8 (H, W, C), its class, and what was drawn for it in each of the first epochs.

    shares  of each that was mixed with others, the classes that it is of and their shares; empty where none were
    """

    original: Array
    name: str
    drawn: Sequence[Array]
    shares: Sequence[Mapping[str, float]] = ()


def numbers(group: Group) -> list[Augmented]:
    """The images of the first run; none where none were kept."""
    run = group.first
    originals, drawn = run.samples.get("train"), run.samples.get("augmented")
    if originals is None or drawn is None:
        return []
    return [
        Augmented(
            originals.pixels[i],
            run.class_names[originals.labels[i]],
            drawn.pixels[drawn.ids == name],
            _shares(drawn.take(drawn.ids == name)),
        )
        for name in dict.fromkeys(drawn.ids.tolist())
        for i in np.flatnonzero(originals.ids == name)[:1]
    ]


def _shares(images: Images) -> list[dict[str, float]]:
    """The classes that each image is of, the largest share first."""
    if not isinstance(images, MixedImages):
        return []
    largest_first = np.argsort(-images.targets, axis=1, kind="stable")
    return [
        {images.class_names[k]: float(row[k]) for k in order if row[k] > 0}
        for row, order in zip(images.targets, largest_first, strict=True)
    ]


CAPTION = (
    "Training images, each with its augmentations of the first epochs: what the model was trained on. If you can still "
    "recognize the class of each, the model can learn it. Validation and test images are not augmented."
)


MIXED = (
    "Images are mixed with others, and the target is the shares of the classes below each. In the training accuracy, "
    "such an image counts as correct if the class with the largest share is predicted."
)


def section(groups: Sequence[Group]) -> Section | None:
    """The images of a single group, where there are any."""
    found = numbers(groups[0]) if len(groups) == 1 and groups[0].runs else []
    return Section("Augmented", "augmented", blocks(found)) if found else None


def blocks(found: Sequence[Augmented]) -> tuple[Block, ...]:
    """A row per image, the original first."""
    pictures: list[Picture] = []
    for one in found:
        pictures.append(Picture(one.original, one.name, "original"))
        for epoch, pixels in enumerate(one.drawn):
            said = [f"{percent(share, 0)} {name}" for name, share in one.shares[epoch].items()] if one.shares else []
            pictures.append(Picture(pixels, f"epoch {epoch + 1}", ", ".join(said)))
    columns = 1 + max(len(one.drawn) for one in found)
    mixed = any(one.shares for one in found)
    return (ImageGrid(tuple(pictures), columns, f"{CAPTION} {MIXED}" if mixed else CAPTION, kind="augmented"),)


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd images, by what is odd."""
    grey, colour = (np.full((9, 12, channels), 90, np.uint8) for channels in (1, 3))
    return {
        "grey": blocks([Augmented(grey, "<b>", [grey, 255 - grey])]),
        "mixed": blocks([Augmented(grey, "<b>", [grey, grey], [{"<b>": 0.625, "cat": 0.375}, {"<b>": 1.0}])]),
        "colour, of one epoch": blocks([Augmented(colour, "cat", [colour]), Augmented(colour, "dog", [])]),
    }
