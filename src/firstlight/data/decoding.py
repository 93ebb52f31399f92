"""One image file to uint8 pixels: upright, 8 bits per channel, grey or colour, on white where it is transparent."""

from __future__ import annotations

import importlib
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from firstlight.errors import DataError, UnreadableImageError
from firstlight.files import MB, read_bytes
from firstlight.image_encoding import pil_image
from firstlight.types import Array

Size = tuple[int, int]

# What is read, in Pillow's words. Not among them: formats for which Pillow starts another program (EPS), and those that
# cannot be told by how a file begins (TGA).
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "AVIF", "JPEG2000", "HEIF")
SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".jp2", ".j2k", ".heic", ".heif"),
)
READ = "PNG, JPEG, BMP or WebP image (nor GIF, TIFF, PPM, AVIF or JPEG 2000)"  # as messages say it

FILE_LIMIT = 1_000 * MB


@dataclass(frozen=True)
class ImageLimits:
    """The most that an image may have, told by its head before it is decoded.

    pixels  Pillow's own limit, or less
    side    Pillow needs memory for each row, however narrow
    """

    pixels: int = 89_478_485
    side: int = 65_535


ANY_FILE = ImageLimits()
_MANY_PIXELS = 16_000_000  # of which one image at a time is decoded

_ORIENTATION = 0x0112  # the EXIF tag; its values 5 to 8 lay the picture on its side
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PNG = b"\x89PNG\r\n\x1a\n"
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf")
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the colour type
_PNG_GREY = (0, 4)
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))

_SPARE = 8  # bytes that a decoder of JPEG may look ahead at the end

_one_large_image = threading.Lock()
_filters, _as_found, _strict = threading.Lock(), ExitStack(), 0  # of warnings; see `strict_about_size`


def load_image(path: str | Path, size: Size | None = None, limits: ImageLimits = ANY_FILE) -> Array:
    """Return one image file as uint8 pixels (H, W, C), resized to `size` (H, W) where it is given.

    C is 1 for a grey image and 3 for a colour one, as the file stores it; a palette is grey where all its used colours
    are. The EXIF orientation is honoured, 16-bit grey is scaled to 8 bits, and transparency is laid on white, as a
    viewer shows it; of several pictures in a file the first counts. Resizing is bilinear with antialiasing and does not
    keep the aspect ratio.

    Raises UnreadableImageError when the file is missing, does not decode, or has more than `limits` allow.
    """
    with strict_about_size():
        return decode_file(path, size, limits)


def decode_file(path: str | Path, size: Size | None, limits: ImageLimits = ANY_FILE) -> Array:
    """As `load_image`, where whoever calls it for many files is `strict_about_size` meanwhile."""
    try:
        data = read_bytes(path, limit=FILE_LIMIT)
    except OSError as error:
        raise UnreadableImageError(path, f"the image cannot be read: {error.strerror}") from error
    try:
        return decode(data, size, limits)
    except DataError as error:
        raise UnreadableImageError(path, str(error)) from error


def decode(data: bytes, size: Size | None, limits: ImageLimits = ANY_FILE) -> Array:
    """As `load_image`, for the bytes of a file. Raises DataError with the bare reason."""
    if not data:
        raise DataError("the file is empty")
    try:
        image = _picture(data, limits)
        if size is not None and (image.height, image.width) != size:
            image = _resize(image, size)
        pixels = np.array(image)
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
        raise DataError(_reason(error, data, limits)) from error
    return pixels.reshape(*pixels.shape[:2], -1)


def upright_size(source: Path | bytes) -> Size | None:
    """The (H, W) of an image as it is seen, from the head of its file or bytes alone; None where it cannot be read."""
    try:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source, formats=formats()) as image:
            on_its_side = image.format != "TIFF" and _orientation(image) in (5, 6, 7, 8)  # Pillow turns TIFF itself
            return image.size if on_its_side else (image.height, image.width)
    except Exception:  # decoding the file will give the reason
        return None


def looks_like_an_image(path: Path) -> bool:
    """Whether a file begins as an image does, whatever its name."""
    return upright_size(path) is not None


@cache
def formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this installation reads: HEIF by a plugin, AVIF from Pillow 11.3 on."""
    Image.init()
    if "HEIF" not in Image.OPEN:
        for plugin in ("pillow_heif", "pi_heif"):
            with suppress(Exception):  # not installed, or not for this Pillow
                importlib.import_module(plugin).register_heif_opener()
                break
    return tuple(name for name in FORMATS if name in Image.OPEN)


@contextmanager
def strict_about_size() -> Iterator[None]:
    """Refuse images of more than Pillow's limit of pixels (decompression bombs); its other warnings stay quiet.

    Filters of warnings are the process's: of several threads the last one gives back what the first one found.
    """
    global _strict
    with _filters:
        if not _strict:
            _as_found.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
        _strict += 1
    try:
        yield
    finally:
        with _filters:
            _strict -= 1
            if not _strict:
                _as_found.close()


def resize(pixels: Array, size: Size) -> Array:
    """Resize uint8 pixels (N, H, W, C) to `size` (H', W'): bilinear, antialiased where they shrink."""
    if pixels.shape[1:3] == size:
        return pixels
    n, channels = len(pixels), pixels.shape[3]
    result = np.empty((n, *size, channels), np.uint8)
    for i, image in enumerate(pixels):
        plain = _resize(pil_image(image), size)
        result[i] = np.asarray(plain).reshape(*size, channels)
    return result


def _resize(image: Image.Image, size: Size) -> Image.Image:
    height, width = size
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _picture(data: bytes, limits: ImageLimits) -> Image.Image:
    """The first picture of a file, upright, in Pillow's mode L or RGB. What is wrong beside the pixels is no matter."""
    data = _open_ended(data)
    try:
        return _loaded(data, limits)
    except Exception as error:
        plain, orientation = _pixels_alone(data)
        if plain is not None:
            with suppress(Exception):  # the first error says more
                return _turned(_loaded(plain, limits), orientation)
        raise error


def _loaded(data: bytes, limits: ImageLimits) -> Image.Image:
    with Image.open(BytesIO(data), formats=formats()) as file:
        width, height = file.size
        if width * height > limits.pixels:
            raise DataError(_too_many(limits))
        if max(width, height) > limits.side:
            raise DataError(f"{width:,} × {height:,} pixels, a side above {limits.side:,}; scale it down first")
        if data.startswith(_PNG):
            _must_be_whole(data)
        with _one_large_image if width * height > _MANY_PIXELS else nullcontext():
            file.load()
            grey = data.startswith(_PNG) and data[25] in _PNG_GREY
            return _turned(_eight_bits(file, grey), _orientation(file))


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1, as it is, where it cannot be read."""
    try:
        value = image.getexif().get(_ORIENTATION)
        return value if value in _TURNS else 1
    except Exception:  # Pillow raises nearly anything on odd metadata
        return 1


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _eight_bits(image: Image.Image, grey: bool) -> Image.Image:
    """The image in Pillow's mode L (grey) or RGB, on white. `grey`: it is grey, whatever its mode."""
    stored = image.mode
    if stored == "F":
        raise DataError("its pixels are floating-point numbers; save it with 8 bits per channel")
    if stored.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65_535:
            raise DataError("its pixels are not numbers from 0 to 65,535; save it with 8 bits per channel")
        bytes_ = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
        transparent = image.info.get("transparency")
        return Image.fromarray(bytes_ if transparent is None else np.where(values == transparent, 255, bytes_))
    if stored in ("L", "RGB") and "transparency" not in image.info:
        return image
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    image = image.convert("RGB")
    grey = grey or stored in ("1", "L", "LA") or (stored in ("P", "PA") and _is_grey(image))
    return image.convert("L") if grey else image


def _is_grey(image: Image.Image) -> bool:
    pixels = np.asarray(image)
    return bool((pixels == pixels[:, :, :1]).all())


def _must_be_whole(data: bytes) -> None:
    """Raise DataError where the pixels of a PNG end before its last row, which Pillow would leave black."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    bits = depth * _PNG_CHANNELS[colour]
    needed = 0
    for x, y, dx, dy in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - x) // dx), -(-(height - y) // dy)
        needed += rows * (1 + -(-columns * bits // 8)) if columns > 0 and rows > 0 else 0
    unzip, found = zlib.decompressobj(), 0
    for kind, body, _ in _png_chunks(data):
        while kind == b"IDAT" and body and found < needed and not unzip.eof:
            found += len(unzip.decompress(body, 1 << 20))
            body = unzip.unconsumed_tail
    found += len(unzip.flush())
    if found < needed:
        raise DataError(f"truncated or damaged ({found:,} of the {needed:,} bytes of its pixels are there)")


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """The kind, the body and the whole of each chunk of a PNG, until one is cut off."""
    at = len(_PNG)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        end = at + 12 + length
        if end > len(data):
            return
        yield data[at + 4 : at + 8], data[at + 8 : end - 4], data[at:end]
        at = end


def _pixels_alone(data: bytes) -> tuple[bytes | None, int]:
    """A PNG or JPEG without what is not pixels, and a JPEG's orientation; None where there is nothing to leave out."""
    if data.startswith(_PNG):
        kept = [whole for kind, body, whole in _png_chunks(data) if kind in _PIXEL_CHUNKS and _crc_fits(kind, whole)]
        plain = _PNG + b"".join(kept)
        return (plain if len(plain) < len(data) else None), 1
    if not data.startswith(b"\xff\xd8"):
        return None, 1
    at, kept, orientation = 2, [b"\xff\xd8"], 1
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] not in (b"", b"\xda"):
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            orientation = _orientation_in(data[at + 4 : end])
        if not (0xE0 <= marker <= 0xEF and marker != 0xEE) and marker != 0xFE:  # 0xEE says how colours are stored
            kept.append(data[at:end])
        at = end
    plain = b"".join([*kept, data[at:]])
    return (plain if len(plain) < len(data) else None), orientation


def _open_ended(data: bytes) -> bytes:
    """A baseline JPEG with a few zeros for its end marker; other files as they are.

    Where the pixels end early, the decoder fills up with grey when it meets the marker, and Pillow does not tell.
    Without one it asks for more data, which Pillow does tell. Where they are whole, it needs a few bits at the most.
    """
    if not data.startswith(b"\xff\xd8"):
        return data
    at, components = 2, b""
    while data[at : at + 1] == b"\xff" and at + 4 <= len(data):
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in (0xC0, 0xC1):  # the frame of a baseline or extended sequential one
            components = data[at + 9 : at + 10]
        elif marker == 0xDA:
            stop = data.find(b"\xff\xd9", end)
            one_scan = components and data[at + 4 : at + 5] == components
            return data[:stop] + bytes(_SPARE) if one_scan and stop > 0 else data
        at = end
    return data


def _crc_fits(kind: bytes, whole: bytes) -> bool:
    """Whether a chunk is as it was written; of those with pixels, Pillow looks itself."""
    return kind != b"eXIf" or zlib.crc32(whole[4:-4]) == int.from_bytes(whole[-4:], "big")


def _orientation_in(exif: bytes) -> int:
    try:
        found = Image.Exif()
        found.load(exif)
        value = found.get(_ORIENTATION)
        return value if value in _TURNS else 1
    except Exception:  # as in `_orientation`
        return 1


def _too_many(limits: ImageLimits) -> str:
    return f"more than {limits.pixels:,} pixels; scale it down first"


def _reason(error: Exception, data: bytes, limits: ImageLimits) -> str:
    if isinstance(error, UnidentifiedImageError):
        if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"heim", b"hevc"):
            return "a HEIC image, which is read with: pip install pillow-heif"
        return f"not a {READ}, or its head is damaged"
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return _too_many(limits)
    return f"truncated or damaged ({error})"
