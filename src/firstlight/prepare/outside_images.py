"""An image from outside as a model takes it: the one way for files, uploads and drawings, whoever asks.

`predict`, the page Draw, a server and what exported models are compared with all come here, so that one image has one
answer.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from firstlight.data.decoding import (
    ANY_FILE,
    ImageLimits,
    Size,
    decode,
    decode_file,
    load_image,
    resize,
    strict_about_size,
)
from firstlight.errors import DataError, UnreadableImageError
from firstlight.prepare.preparation import Preparation
from firstlight.prepare.strokes import fitted
from firstlight.types import Array

Source = bytes | str | Path

CHUNK = 16  # images that a thread takes at a time: to hand over a small one takes as long as to decode it
ENOUGH = 1024  # pixels of the longer side, from which a drawing is fitted


def outside_image(
    source: Source,
    preparation: Preparation,
    *,
    box: float | None = None,
    invert: bool = False,
    limits: ImageLimits = ANY_FILE,
) -> Array:
    """One image file as uint8 pixels (H, W, C) of `preparation.input_shape`: all but the affine part.

    It is decoded upright, with 8 bits per channel and on white (see `load_image`), resized in the channels that it has,
    and then made grey or colour as the model takes it. Of a drawing:

    source  the path of a file, or the bytes of one
    box     scale and move what is drawn so that its longer side has so many pixels; None leaves the image as it is
    invert  turn light and dark round first
    limits  the most that it may have

    Raises UnreadableImageError where it cannot be read, does not decode, or has more.
    """
    size = preparation.size if box is None else None
    pixels = _decoded(source, size, limits) if isinstance(source, bytes) else load_image(source, size, limits)
    if invert:
        pixels = 255 - pixels
    if box is not None:
        pixels = fitted(_at_most(pixels, ENOUGH), box, preparation.size)
    return preparation.apply_to_pixels(pixels[np.newaxis])[0]


def outside_images(
    sources: Sequence[Source], preparation: Preparation, *, limits: ImageLimits = ANY_FILE
) -> list[Array | UnreadableImageError]:
    """Each image as `outside_image` has it, or why there is none, in their order; decoded in as many threads as cores.

    All are in memory together: whoever has many asks for some at a time.
    """

    def prepared(chunk: Sequence[Source]) -> list[Array | UnreadableImageError]:
        return [_prepared(source, preparation, limits) for source in chunk]

    chunks = [sources[start : start + CHUNK] for start in range(0, len(sources), CHUNK)]
    with strict_about_size():
        if len(chunks) <= 1:
            return prepared(sources)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return [image for images in pool.map(prepared, chunks) for image in images]


def _prepared(source: Source, preparation: Preparation, limits: ImageLimits) -> Array | UnreadableImageError:
    try:
        return preparation.apply_to_pixels(_decoded(source, preparation.size, limits)[np.newaxis])[0]
    except UnreadableImageError as error:
        return error


def _decoded(source: Source, size: Size | None, limits: ImageLimits) -> Array:
    if not isinstance(source, bytes):
        return decode_file(source, size, limits)
    try:
        return decode(source, size, limits)
    except DataError as error:
        raise UnreadableImageError("The image", str(error)) from error


def _at_most(pixels: Array, side: int) -> Array:
    """Pixels (H, W, C), scaled down where the longer side has more than `side`."""
    longest = max(pixels.shape[:2])
    if longest <= side:
        return pixels
    height, width = (max(round(length * side / longest), 1) for length in pixels.shape[:2])
    return resize(pixels[np.newaxis], (height, width))[0]
