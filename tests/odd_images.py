"""Image files of every odd kind that people have, for whatever takes images from outside: all must find one answer.

Whoever prepares images again (a server, a page, another language) is fed these beside `firstlight.prepare`.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image

ON_ITS_SIDE, ON_ITS_SIDE_AND_MIRRORED = 6, 5  # EXIF orientations
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def scene(height=40, width=30, channels=3):
    """A picture uint8 (H, W, C) with edges, slopes and a colour of its own in each corner."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [np.sin(9 * x + 2 * k) * np.cos(7 * y - k) for k in range(channels)]
    pixels = (127 + 100 * np.stack(waves, axis=2)).astype(np.uint8)
    pixels[: height // 3, : width // 4] = (250, 20, 60)[:channels]
    pixels[-height // 4 :, -width // 3 :] = (5, 90, 240)[:channels]
    return pixels


def encoded(image, kind="png", **options):
    """An image of Pillow, or pixels, as the bytes of a file."""
    buffer = io.BytesIO()
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def raw_png(width, height, depth, colour, rows, *, interlaced=False, chunks=()):
    """A PNG of rows of bytes, each with its filter byte in front; for what Pillow does not write."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def interlaced_png(pixels):
    """Pixels uint8 (H, W, 1 or 3) as an interlaced PNG."""
    height, width, channels = pixels.shape
    passes = (pixels[y::dy, x::dx] for x, y, dx, dy in _ADAM7)
    rows = [b"\0" + row.tobytes() for part in passes if part.size for row in part]
    return raw_png(width, height, 8, {1: 0, 3: 2}[channels], rows, interlaced=True)


def _turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _with_alpha(pixels):
    alpha = np.linspace(0, 255, pixels.shape[0] * pixels.shape[1]).reshape(*pixels.shape[:2], 1)
    return np.concatenate([pixels, alpha.astype(np.uint8)], axis=2)


def _sixteen_bits(pixels):
    """uint16, of which the lower byte is not the upper one."""
    return (pixels.astype(int) * 257 - 100 * (pixels > 0)).astype(np.uint16)


def odd_images():
    """The bytes of each file by its name; all can be read."""
    colour = scene()
    grey = scene(channels=1)
    palette = Image.fromarray(colour).quantize(16)
    height, width = grey.shape[:2]
    return {
        "grey.png": encoded(grey),
        "colour.png": encoded(colour),
        "of-the-usual-size.png": encoded(scene(8, 8, 1)),
        "palette.png": encoded(palette),
        "grey-palette.png": encoded(Image.fromarray(np.repeat(grey // 64 * 64, 3, axis=2)).quantize(8)),
        "transparent-palette.png": encoded(palette, transparency=3),
        "palette-of-many-alphas.png": encoded(palette, transparency=bytes(range(0, 256, 16))),
        "alpha.png": encoded(_with_alpha(colour)),
        "grey-alpha.png": encoded(_with_alpha(grey)),
        "transparent-colour.png": encoded(colour, transparency=(250, 20, 60)),
        "transparent-grey.png": encoded(grey, transparency=250),
        "one-bit.png": encoded(Image.fromarray(grey[..., 0] > 120)),
        "sixteen-bit.png": encoded(_sixteen_bits(grey)),
        "sixteen-bit-colour.png": raw_png(
            width, height, 16, 2, [b"\0" + row.astype(">u2").tobytes() for row in _sixteen_bits(colour)]
        ),
        "interlaced.png": interlaced_png(colour),
        "interlaced-grey.png": interlaced_png(grey),
        "turned.png": encoded(colour, exif=_turned(ON_ITS_SIDE)),
        "turned.jpg": encoded(colour, "jpeg", exif=_turned(ON_ITS_SIDE_AND_MIRRORED)),
        "colour.jpg": encoded(colour, "jpeg", quality=85),
        "grey.jpg": encoded(grey, "jpeg"),
        "progressive.jpg": encoded(colour, "jpeg", progressive=True),
        "cmyk.jpg": encoded(Image.fromarray(colour).convert("CMYK"), "jpeg"),
        "moving.gif": encoded(palette, "gif", save_all=True, append_images=[Image.new("P", palette.size)]),
        "plain.bmp": encoded(colour, "bmp"),
        "lossless.webp": encoded(_with_alpha(colour), "webp", lossless=True),
        "lossy.webp": encoded(colour, "webp"),
        "deep.tif": encoded(_sixteen_bits(grey), "tiff"),
        "plain.ppm": encoded(colour, "ppm"),
        "one-pixel.png": encoded(np.full((1, 1, 3), (200, 10, 30), np.uint8)),
        "5000x2.png": encoded(scene(2, 5000)),
        "2x5000.png": encoded(scene(5000, 2, 1)),
        "large.png": encoded(scene(1200, 1600, 1)),
        "without-an-ending": encoded(colour),
    }


def broken_images():
    """Files that cannot be read, by their names, each with a word of the reason."""
    colour = encoded(scene())
    return {
        "empty.png": (b"", "empty"),
        "no-image.png": (b"no image at all", "not a PNG"),
        "cut-off.png": (colour[: len(colour) // 2], "truncated or damaged"),
        "cut-off.jpg": (encoded(scene(200, 200), "jpeg")[:2000], "truncated or damaged"),
        "floats.tif": (encoded(Image.fromarray(np.zeros((4, 4), np.float32)), "tiff"), "floating-point"),
        "too-wide.png": (raw_png(70_000, 1, 1, 0, [bytes(1 + 70_000 // 8)]), "scale it down"),
        "too-many-pixels.png": (raw_png(20_000, 20_000, 1, 0, [bytes(2501)]), "pixels"),
    }
