"""One image file to uint8 pixels: upright, 8 bits a channel, grey or colour, on white where it is transparent."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from firstlight.errors import DataError
from firstlight.types import Array

Size = tuple[int, int]

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")

_ORIENTATION = 0x0112  # the EXIF tag; its values 5 to 8 lay the picture on its side


def load_image(path: str | Path, size: Size | None = None) -> Array:
    """Return one image file as uint8 pixels (H, W, C), resized to `size` (H, W) where it is given.

    C is 1 for a grey image and 3 for a colour one, as the file stores it; a palette is grey where all its used colours
    are. The EXIF orientation is honoured, 16-bit grey is scaled to 8 bits, and transparency is laid on white, as a
    viewer shows it. Resizing is bilinear with antialiasing and does not keep the aspect ratio.

    Raises DataError when the file is missing or does not decode.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: the image cannot be read: {error.strerror}.") from error
    try:
        with strict_about_size():
            return decode(data, size)
    except DataError as error:
        raise DataError(f"{path}: {error}.") from error


def decode(data: bytes, size: Size | None) -> Array:
    """As `load_image`, for the bytes of a file. Raises DataError with the bare reason."""
    if not data:
        raise DataError("the file is empty")
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as file:
            image = _eight_bits(ImageOps.exif_transpose(file))
        if size is not None:
            image = _resize(image, size)
        pixels = np.array(image)
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
        raise DataError(_reason(error)) from error
    return pixels.reshape(*pixels.shape[:2], -1)


def upright_size(path: Path) -> Size | None:
    """The (H, W) of an image as it is seen, from the file's head alone; None where it cannot be read."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            on_its_side = image.getexif().get(_ORIENTATION) in (5, 6, 7, 8)
            return image.size if on_its_side else (image.height, image.width)
    except Exception:  # decoding the file will give the reason
        return None


@contextmanager
def strict_about_size() -> Iterator[None]:
    """Refuse images of more than Pillow's limit of pixels (decompression bombs); its other warnings stay quiet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def resize(pixels: Array, size: Size) -> Array:
    """Resize uint8 pixels (N, H, W, C) to `size` (H', W'): bilinear, antialiased where they shrink."""
    if pixels.shape[1:3] == size:
        return pixels
    n, channels = len(pixels), pixels.shape[3]
    result = np.empty((n, *size, channels), np.uint8)
    for i, image in enumerate(pixels):
        plain = Image.fromarray(image[:, :, 0] if channels == 1 else image)
        result[i] = np.asarray(_resize(plain, size)).reshape(*size, channels)
    return result


def _resize(image: Image.Image, size: Size) -> Image.Image:
    height, width = size
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _eight_bits(image: Image.Image) -> Image.Image:
    """The image in Pillow's mode L (grey) or RGB, on white."""
    if image.mode.startswith("I"):
        return Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
    stored = image.mode
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    image = image.convert("RGB")
    grey = stored in ("1", "L", "LA") or (stored in ("P", "PA") and _is_grey(image))
    return image.convert("L") if grey else image


def _is_grey(image: Image.Image) -> bool:
    pixels = np.asarray(image)
    return bool((pixels == pixels[:, :, :1]).all())


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a PNG, JPEG, BMP or WebP image, or its head is damaged"
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels; scale it down first"
    return f"truncated or damaged ({error})"
