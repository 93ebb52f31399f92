"""What single units look for: the images that maximize their activations."""

from __future__ import annotations

from collections.abc import Sequence

from firstlight.records.explanation import MaximizingImage
from firstlight.report.document import Block, Heading, ImageGrid, Picture, Text
from firstlight.report.feature_maps import number

SHOWN = 32  # units of a layer


def blocks(found: Sequence[MaximizingImage]) -> list[Block]:
    """The images that units answer to most strongly."""
    if not found:
        return []
    blocks: list[Block] = [Heading("What units answer to most"), Text(_READ)]
    for layer in dict.fromkeys(image.layer for image in found):
        of_layer = [image for image in found if image.layer == layer]
        pictures = tuple(
            Picture(image.pixels, _unit(image), f"{number(image.value)} ({number(image.typical)})")
            for image in of_layer[:SHOWN]
        )
        left = f", the first {len(pictures)} of {len(of_layer)}" if len(pictures) < len(of_layer) else ""
        caption = f"{layer}{left}: what a unit gives for its picture, in brackets the most for any test image."
        blocks.append(ImageGrid(pictures, columns=8, caption=caption))
    return blocks


def _unit(image: MaximizingImage) -> str:
    return image.name.removeprefix(f"{image.layer}, ") or f"unit {image.unit}"


_READ = (
    "Images made for single units: from grey, each pixel is moved to where the unit gives more. Where a unit gives far "
    "more for its picture than for any real image, it can be pleased by what no one would call an image of the class. "
    "Texture without shape says that the net never needed the shape; a picture is no proof of what a unit means."
)
