"""Pixels as pictures that lie inside the page."""

from __future__ import annotations

import base64
import io

import numpy as np

from firstlight.types import Array, Json

STORED = 80  # pixels; larger images are stored reduced to this side, so that a page stays small
LOSSLESS = 40  # pixels; a colour picture of a longer side may be stored as a JPEG
SPRITE = 1600  # pixels in a row of a sprite, at most
SPRITE_BYTES = 1_000_000  # beyond which a sprite is compressed with loss
SHOWN = 112  # CSS pixels; small images are enlarged by a whole factor up to about this side


def png(pixels: Array) -> bytes:
    """An image uint8 (H, W, C) as a PNG, reduced where its longer side exceeds `STORED`."""
    from PIL import Image

    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if max(image.size) > STORED:
        image.thumbnail((STORED, STORED), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def enlarged(pixels: Array, side: int) -> bytes:
    """An image uint8 (H, W, C) as a PNG whose pixels are squares, the longer side about `side`, never reduced."""
    from PIL import Image

    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    factor = max(1, side // max(image.size))
    buffer = io.BytesIO()
    image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def data_uri(pixels: Array) -> str:
    """An image as in `png`, in a data URI."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()


def compact_uri(pixels: Array) -> str:
    """An image as in `data_uri`, but one of many pixels and colours loses a little: a quarter of the characters."""
    from PIL import Image

    if pixels.shape[2] == 1 or max(pixels.shape[:2]) <= LOSSLESS:
        return data_uri(pixels)
    image = Image.fromarray(pixels)
    image.thumbnail((STORED, STORED), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def sprite(pixels: Array) -> Json:
    """Images uint8 (N, H, W, C) as one picture in rows of `columns`, of which a script cuts out each.

    It is without loss where it is small, as grey digits are, and a JPEG otherwise.
    """
    from PIL import Image

    n, height, width, channels = pixels.shape
    columns = max(1, min(n, SPRITE // width))
    rows = -(-n // columns)
    tiles = np.zeros((rows * columns, height, width, channels), np.uint8)
    tiles[:n] = pixels
    sheet = tiles.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    sheet = sheet.reshape(rows * height, columns * width, channels)
    image = Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet)
    for kind, options in (("png", {"optimize": True}), ("jpeg", {"quality": 60, "optimize": True})):
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        if buffer.tell() <= SPRITE_BYTES:
            break
    source = f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode()
    return {"source": source, "columns": columns, "width": width, "height": height}


def shown_size(pixels: Array) -> tuple[int, int]:
    """The width and height, in CSS pixels, at which an image is shown."""
    height, width = pixels.shape[:2]
    longest = max(height, width)
    factor = SHOWN // longest if longest <= SHOWN else SHOWN / longest
    return round(width * factor), round(height * factor)
