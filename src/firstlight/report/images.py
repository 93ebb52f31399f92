"""Pixels as pictures that lie inside the page."""

from __future__ import annotations

import base64
import io

from firstlight.types import Array

STORED = 80  # pixels; larger images are stored reduced to this side, so that a page stays small
SHOWN = 112  # CSS pixels; small images are enlarged by a whole factor up to about this side


def data_uri(pixels: Array) -> str:
    """An image uint8 (H, W, C) as a PNG in a data URI, reduced where its longer side exceeds `STORED`."""
    from PIL import Image

    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if max(image.size) > STORED:
        image.thumbnail((STORED, STORED), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def shown_size(pixels: Array) -> tuple[int, int]:
    """The width and height, in CSS pixels, at which an image is shown."""
    height, width = pixels.shape[:2]
    longest = max(height, width)
    factor = SHOWN // longest if longest <= SHOWN else SHOWN / longest
    return round(width * factor), round(height * factor)
