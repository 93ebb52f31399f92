"""Pixels as the files that a page, a table or a browser shows: PNG and JPEG, data URIs, and sheets of many images."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from firstlight.types import Array, Json

if TYPE_CHECKING:
    from PIL.Image import Image

STORED = 80  # pixels; larger images are stored reduced to this side, so that a page stays small
LOSSLESS = 40  # pixels; a colour picture of a longer side may be stored as a JPEG
SPRITE = 1600  # pixels in a row of a sprite, at most
SPRITE_BYTES = 1_000_000  # beyond which a sprite is compressed with loss
SHOWN = 112  # CSS pixels; small images are enlarged by a whole factor up to about this side


def pil_image(pixels: Array) -> Image:
    """Pixels uint8 (H, W, C) as an image of Pillow."""
    from PIL import Image

    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def encoded(image: Image, kind: str = "png", **options: Any) -> bytes:
    """An image as a file; the options are Pillow's."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(pixels: Array, **options: Any) -> bytes:
    """Pixels uint8 (H, W, C) as a PNG."""
    return encoded(pil_image(pixels), **options)


def small_png(pixels: Array) -> bytes:
    """Pixels uint8 (H, W, C) as a PNG, reduced where the longer side exceeds `STORED`."""
    return encoded(_reduced(pixels), optimize=True)


def enlarged_png(pixels: Array, side: int) -> bytes:
    """Pixels uint8 (H, W, C) as a PNG whose pixels are squares, the longer side about `side`, never reduced."""
    height, width = pixels.shape[:2]
    factor = max(1, side // max(height, width))
    return resized_png(pixels, width * factor, height * factor)


def resized_png(pixels: Array, width: int, height: int) -> bytes:
    """Pixels uint8 (H, W, C) as a PNG of that size, without interpolation."""
    from PIL.Image import Resampling

    return encoded(pil_image(pixels).resize((width, height), Resampling.NEAREST))


def data_uri(data: bytes, kind: str = "png") -> str:
    """A file of an image in a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def small_uri(pixels: Array) -> str:
    """As `small_png`, in a data URI."""
    return data_uri(small_png(pixels))


def compact_uri(pixels: Array) -> str:
    """As `small_uri`, but of many pixels and colours it loses a little: a quarter of the characters."""
    if pixels.shape[2] == 1 or max(pixels.shape[:2]) <= LOSSLESS:
        return small_uri(pixels)
    return data_uri(encoded(_reduced(pixels), "jpeg", quality=80, optimize=True), "jpeg")


def tiled(pixels: Array, columns: int, rows: int | None = None) -> Array:
    """Images uint8 (N, H, W, C) row by row on one of (rows·H, columns·W, C), black where they end.

    rows  as many as the images take, unless given
    """
    n, height, width, channels = pixels.shape
    rows = -(-n // columns) if rows is None else rows
    cells = np.zeros((rows * columns, height, width, channels), np.uint8)
    cells[:n] = pixels
    cells = cells.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return cells.reshape(rows * height, columns * width, channels)


def sprite(pixels: Array) -> Json:
    """Images uint8 (N, H, W, C) as one picture in rows of `columns`, of which a script cuts out each.

    It is without loss where it is small, as grey digits are, and a JPEG otherwise.
    """
    n, height, width, _ = pixels.shape
    columns = max(1, min(n, SPRITE // width))
    image = pil_image(tiled(pixels, columns))
    kind, data = "png", encoded(image, optimize=True)
    if len(data) > SPRITE_BYTES:
        kind, data = "jpeg", encoded(image, "jpeg", quality=60, optimize=True)
    return {"source": data_uri(data, kind), "columns": columns, "width": width, "height": height}


def shown_size(pixels: Array) -> tuple[int, int]:
    """The width and height, in CSS pixels, at which an image is shown."""
    height, width = pixels.shape[:2]
    longest = max(height, width)
    factor = SHOWN // longest if longest <= SHOWN else SHOWN / longest
    return round(width * factor), round(height * factor)


def _reduced(pixels: Array) -> Image:
    from PIL.Image import Resampling

    image = pil_image(pixels)
    if max(image.size) > STORED:
        image.thumbnail((STORED, STORED), Resampling.LANCZOS)
    return image
