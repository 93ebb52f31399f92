"""PNG, JPEG, BMP, WebP, GIF and TIFF files spoilt at random, files whose heads claim other sides, files that unfold to
hundreds of megabytes, and files that are not images; alone and in folders of classes. Survived: uint8 pixels with one
or three channels, or refused (in a folder: set aside), within 30 seconds and 2 GiB."""

from __future__ import annotations

import io
import shutil
import struct
import zlib
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.reliability.attack import Attack
from benchmarks.reliability.mutations import spoil_bytes
from firstlight.data import load, load_image
from firstlight.types import Dataset

FOLDERS = 8  # every how many drawn files a folder of them is read, too


def attack(a: Attack) -> None:
    """Bombs and strangers first, then drawn files of each format in turn."""
    whole = _whole()
    for label, data in a.in_turn({**_lies(whole), **_strangers()}.items()):
        _feed(a, label, data() if callable(data) else data)
    number = 0
    while not a.over:
        draw = a.random(number)
        for name, data in whole.items():
            _feed(a, f"{name} {number}", spoil_bytes(data, draw))
        if number % FOLDERS == 0:
            _feed_folder(a, number, whole)
        number += 1


def _feed(a: Attack, label: str, data: bytes) -> None:
    path = a.work / f"x.{label.split()[0]}"
    path.write_bytes(data)
    a.read(f"{label}, in its own size", partial(load_image, path), _pixels)
    a.read(f"{label}, resized", partial(load_image, path, (24, 24)), _pixels)


def _feed_folder(a: Attack, number: int, whole: dict[str, bytes]) -> None:
    draw, root = a.random("folder", number), a.work / "folder"
    for name in "ab":
        place = root / name
        place.mkdir(parents=True)
        for k, (kind, data) in enumerate(draw.sample(sorted(whole.items()), 6)):
            (place / f"{k}.{kind.split()[0]}").write_bytes(spoil_bytes(data, draw) if k % 2 else data)
    a.read(f"folder {number}", partial(load, root, size=16), _splits)
    shutil.rmtree(root)


def _pixels(found: Any) -> str | None:
    sound = isinstance(found, np.ndarray) and found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] in (1, 3)
    return None if sound and found.size else "taken, and no pixels uint8 (H, W, 1 or 3)"


def _splits(found: Dataset) -> str | None:
    sound = all(images.pixels.dtype == np.uint8 and images.pixels.ndim == 4 for images in found.splits.values())
    return None if sound else "taken, and no pixels uint8 (N, H, W, C)"


def _whole() -> dict[str, bytes]:
    """Sound files, each format in several modes."""
    pixels = np.random.default_rng(0).integers(0, 256, (37, 23, 3), np.uint8)
    colour = Image.fromarray(pixels)
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation
    frames: dict[str, Any] = {"save_all": True, "append_images": [Image.fromarray(255 - pixels)] * 3}
    return {
        "png": _file(colour, "PNG"),
        "png grey": _file(colour.convert("L"), "PNG"),
        "png palette": _file(colour.convert("P"), "PNG"),
        "png alpha": _file(colour.convert("RGBA"), "PNG"),
        "png one bit": _file(colour.convert("1"), "PNG"),
        "png 16 bits": _file(Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), "PNG"),
        "png frames": _file(colour, "PNG", **frames),
        "jpg": _file(colour, "JPEG"),
        "jpg turned": _file(colour, "JPEG", exif=turned),
        "jpg progressive": _file(colour, "JPEG", progressive=True),
        "jpg CMYK": _file(colour.convert("CMYK"), "JPEG"),
        "bmp": _file(colour, "BMP"),
        "bmp palette": _file(colour.convert("P"), "BMP"),
        "webp": _file(colour, "WEBP"),
        "webp frames": _file(colour, "WEBP", **frames),
        "gif": _file(colour.convert("P"), "GIF"),
        "tiff": _file(colour, "TIFF"),
        "tiff deflate": _file(colour, "TIFF", compression="tiff_adobe_deflate"),
    }


def _file(image: Image.Image, form: str, **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, form, **options)
    return target.getvalue()


def _lies(whole: dict[str, bytes]) -> dict[str, bytes | Callable[[], bytes]]:
    """Heads that claim other sides than there are, and much in little, which is made when its turn comes."""
    lies: dict[str, bytes | Callable[[], bytes]] = {
        f"png of {width} × {height}": _png(width, height)
        for width, height in [
            (0, 0), (2**31 - 1, 1), (1, 2**31 - 1), (2**32 - 1, 2**32 - 1), (65535, 65535), (20000, 20000),
            (9000, 9900), (1, 60_000_000), (60_000_000, 1), (1, 89_000_000),
        ]
    }  # fmt: skip
    lies["png of 300 MB"] = lambda: _png(9000, 9900, data=_zeros())
    lies["png of 300 MB in 16 bits"] = lambda: _png(9400, 9500, bits=16, colour=6, data=_zeros())
    lies["png with rows for 300 MB"] = lambda: _png(10, 10, data=_zeros())
    lies["png with 300 MB of text"] = lambda: _png(4, 4, colour=0, more=_chunk(b"zTXt", b"c\0\0" + _zeros()))
    lies["png with 300 MB of colours"] = lambda: _png(4, 4, colour=0, more=_chunk(b"iCCP", b"c\0\0" + _zeros()))
    lies["png with 100,000 chunks"] = _png(4, 4, colour=0, more=_chunk(b"tEXt", b"a\0b") * 100_000)
    lies["png with rows missing"] = _png(20, 20, data=zlib.compress(bytes(300)))
    for width, height in [(-1, 5), (5, -5), (2**31 - 1, -(2**31)), (100_000, 100_000), (0, 0)]:
        head = bytearray(whole["bmp"])
        head[18:26] = struct.pack("<ii", width, height)
        lies[f"bmp of {width} × {height}"] = bytes(head)
    head, at = bytearray(whole["jpg"]), whole["jpg"].find(b"\xff\xc0") + 5
    for width, height in [(0, 0), (65535, 65535), (65500, 1), (9400, 9400)]:
        head[at : at + 4] = struct.pack(">HH", height, width)
        lies[f"jpg of {width} × {height}"] = bytes(head)
    for form in ("PNG", "JPEG", "TIFF", "GIF"):
        mode = "P" if form == "GIF" else "RGB"
        options: dict[str, Any] = {"compression": "tiff_adobe_deflate"} if form == "TIFF" else {}
        name = f"{form.lower().replace('jpeg', 'jpg')} of 88 million pixels"
        lies[name] = partial(_large, mode, form, options)
    return lies


@cache
def _zeros() -> bytes:
    """300 MB of zeros, packed."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1_000_000)) for _ in range(300)) + packer.flush()


def _large(mode: str, form: str, options: dict[str, Any]) -> bytes:
    return _file(Image.new(mode, (9400, 9400)), form, **options)


def _strangers() -> dict[str, bytes]:
    return {
        f"{ending} that is {name}": data
        for ending in ("png", "jpg", "tiff")
        for name, data in {
            "empty": b"",
            "text": b"hello",
            "HTML": b"<script>",
            "SVG": b"<svg/>",
            "zeros": bytes(10_000),
            "PDF": b"%PDF-1.4",
            "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n(x) run",
            "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        }.items()
    }


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(
    width: int, height: int, bits: int = 8, colour: int = 2, data: bytes | None = None, more: bytes = b""
) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    rows = zlib.compress(bytes(100)) if data is None else data
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + more + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")
