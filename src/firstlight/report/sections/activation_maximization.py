"""Activation maximization: the images that single units give most for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from firstlight.records.explanation import Explanation, MaximizingImage
from firstlight.records.group import Group
from firstlight.report.document import Block, ImageGrid, Picture, Section, Text
from firstlight.report.explanation import explained
from firstlight.report.format import significant

SHOWN = 32  # units of a layer


def numbers(group: Group) -> tuple[MaximizingImage, ...]:
    """The images of an explained run."""
    found = explained([group])
    return found[1].maximizing_images if found else ()


def section(groups: Sequence[Group]) -> Section | None:
    found = numbers(groups[0]) if len(groups) == 1 else ()
    return Section("Activation maximization", "units", blocks(found)) if found else None


def card(explanation: Explanation, class_names: Sequence[str]) -> tuple[Block, ...]:
    """What a card shows of an explanation without its run."""
    return blocks(explanation.maximizing_images)


def blocks(found: Sequence[MaximizingImage]) -> tuple[Block, ...]:
    """A grid of images for each layer."""
    made: list[Block] = []
    for layer in dict.fromkeys(one.layer for one in found):
        of_layer = [one for one in found if one.layer == layer]
        pictures = tuple(
            Picture(one.pixels, _unit(one), f"{significant(one.value)} ({significant(one.typical)})")
            for one in of_layer[:SHOWN]
        )
        left = f", the first {len(pictures)} of {len(of_layer)}" if len(pictures) < len(of_layer) else ""
        caption = f"{layer}{left}: the activation of a unit for its image, in brackets the highest for any test image."
        made.append(ImageGrid(pictures, columns=8, caption=caption))
    return (Text(_HOW), *made) if made else ()


def _unit(one: MaximizingImage) -> str:
    return one.name.removeprefix(f"{one.layer}, ") or f"unit {one.unit}"


_HOW = (
    "Activation maximization: starting from grey, each pixel is moved by gradient ascent so that the activation of one "
    "unit grows. If the activation is far higher than for any test image, the unit responds strongly to something that "
    "nobody would call an image of the class. Texture without shape suggests that the net never needed the shape; such "
    "an image is no proof of what a unit means."
)


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd units, by what is odd."""
    one = MaximizingImage("dense1", 1, "<b>cat", np.zeros((6, 5, 3), np.uint8), 9.5, 3.0)
    many = tuple(replace(one, layer="conv1", unit=k, name="", value=-1e-9) for k in range(40))
    return {"a class": blocks([one]), "many units of two layers": blocks([one, *many])}
