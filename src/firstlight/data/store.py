"""The store of decoded images: a file of pixels in the user's cache, mapped where a set is larger than its memory.

A reader gives its images to a `Collector` one after the other. They stay in memory while they fit `memory.limit`; from
there on they go to the file, which is there whole or not at all. The next reader of the same files maps it at once.
How it is keyed, and why: docs/why/decisions/0035.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL

from firstlight import memory
from firstlight.data.decoding import Size
from firstlight.errors import DataError
from firstlight.files import ARRAYS_LIMIT, arrays_of, read_bytes, user_cache, write_bytes, writing
from firstlight.locks import locked
from firstlight.pixels import BLOCK, MappedPixels, blocks, divided, is_mapped
from firstlight.text import size_said
from firstlight.types import Array, Dataset

VERSION = 1  # of the files: another where what is decoded of the same bytes changes
PIXELS, BESIDE, LOCK = ".pixels", ".npz", ".lock"
SAMPLED, PIECE = 64, 1 << 16  # files of which a piece is hashed, and the bytes of a piece
SPARE = 100_000_000  # bytes that a disk keeps free

Extra = Mapping[str, Array]


@dataclass(frozen=True)
class Place:
    """Where the store of a source is, by what its files are.

    source  what messages call it
    key     a hash of how the images are read, by which Pillow, and of the names, sizes and times of the files
    """

    source: str
    key: str

    @classmethod
    def of(cls, source: str, files: Sequence[tuple[str, Path]], how: str) -> Place:
        """That of files with their names, read in some way; pieces of some files are hashed as well."""
        made = hashlib.sha256(f"{VERSION} {PIL.__version__} {how}\n".encode(errors="surrogateescape"))
        for name, path in files:
            with suppress(OSError):
                found = path.stat()
                made.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode(errors="surrogateescape"))
        for place in np.unique(np.linspace(0, len(files) - 1, min(len(files), SAMPLED)).astype(int)):
            for piece in _pieces(files[place][1]):
                made.update(piece)
        return cls(source, made.hexdigest()[:40])

    @property
    def folder(self) -> Path:
        return stores()

    def file(self, ending: str) -> Path:
        return self.folder / f"{self.key}{ending}"


def stores() -> Path:
    """The folder of all stores, which need not exist. What is in it can be removed: it is made again when needed."""
    return user_cache() / "images"


def kept(place: Place) -> tuple[MappedPixels, dict[str, Array]] | None:
    """The store at a place and what was kept beside it; None where it is not there, not whole, or was changed."""
    pixels = place.file(PIXELS)
    try:
        beside = arrays_of(read_bytes(place.file(BESIDE), limit=ARRAYS_LIMIT))
        shape, sampled = tuple(beside.pop("shape").tolist()), str(beside.pop("sampled"))
        if len(shape) != 4 or pixels.stat().st_size != math.prod(shape) or _sampled(pixels) != sampled:
            return None
    except (OSError, ValueError, KeyError):
        return None
    return MappedPixels(pixels, shape, np.arange(shape[0])), beside


def collected(
    place: Place | None, count: int, build: Callable[[Collector], Extra]
) -> tuple[Array | MappedPixels, Extra]:
    """The pixels (N, H, W, C) that `build` gives to a collector, and what it returns; both from the store where it is.

    place  where to keep them if they are too many for the memory; None: they stay in memory
    count  how many images there will be, about

    Where another process is at the same store, it is waited for. Raises DataError where the disk has no room.
    """
    if place is None:
        collector = Collector(None, count)
        extra = build(collector)
        return collector.array(), extra
    if (found := kept(place)) is not None:
        return found
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
        with locked(place.folder, wait=True, name=f".{place.key}{LOCK}"):
            if (found := kept(place)) is not None:
                return found
            with ExitStack() as stack:
                collector = Collector(place, count, stack)
                extra = build(collector)
                if collector.file is None:
                    return collector.array(), extra
                shape = collector.shape
            beside = {"shape": np.array(shape), "sampled": np.array(_sampled(place.file(PIXELS))), **extra}
            data = io.BytesIO()
            np.savez_compressed(data, **beside)  # type: ignore[arg-type]
            write_bytes(place.file(BESIDE), data.getvalue())
    except OSError as error:
        raise DataError(
            f"{place.source}: its decoded images cannot be kept in {place.folder}: {error.strerror or error}. {_REMEDY}"
        ) from None
    found = kept(place)
    assert found is not None, "it was written just now"
    return found


_REMEDY = (
    "Free some space there, make the images smaller (data.size), or let more of them be held in memory: "
    f"{memory.VARIABLE}."
)


class Collector:
    """Takes images uint8 (H, W, C), one after the other; grey ones among coloured ones are repeated over the channels.

    sizes  how many images had each size; only those of the size of the first one are kept
    """

    def __init__(self, place: Place | None, count: int, stack: ExitStack | None = None) -> None:
        self.place, self.count, self.stack = place, count, stack
        self.limit = memory.limit()
        self.sizes: Counter[Size] = Counter()
        self.held: list[Array] = []
        self.bytes = self.channels = 0
        self.file: BinaryIO | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, H, W, C) of all images that are kept."""
        (height, width), images = next(iter(self.sizes.items()), ((0, 0), 0))
        return images, height, width, self.channels

    def append(self, pixels: Array) -> None:
        """Take one image."""
        self.extend(pixels[np.newaxis])

    def extend(self, pixels: Array) -> None:
        """Take images uint8 (n, H, W, C)."""
        size = (int(pixels.shape[1]), int(pixels.shape[2]))
        self.sizes[size] += len(pixels)
        if size != next(iter(self.sizes)):
            return
        if pixels.shape[3] > self.channels:
            self._widen(pixels.shape[3])
        if self.file is None:
            self.held.append(pixels)
            self.bytes += pixels.nbytes
            if self.place is not None and self.bytes > self.limit:
                self._begin()
        else:
            self._write(pixels)

    def array(self) -> Array:
        """All images in memory, (N, H, W, C). What was held is given up one by one."""
        whole = np.empty(self.shape, np.uint8)
        at = 0
        for place, pixels in enumerate(self.held):
            whole[at : at + len(pixels)] = pixels
            at += len(pixels)
            self.held[place] = whole[:0]
        return whole

    def _begin(self) -> None:
        """Go over to the file, if the disk has room for it."""
        assert self.place is not None
        assert self.stack is not None
        images, *image = self.shape
        needed = max(self.count, images) * math.prod(image)
        free = shutil.disk_usage(self.place.folder).free
        if needed + SPARE > free:
            raise DataError(
                f"{self.place.source}: its decoded images are more than the {size_said(self.limit)} that are held in "
                f"memory, and keeping them takes about {size_said(needed)} in {self.place.folder}, where "
                f"{size_said(free)} are free. {_REMEDY}"
            )
        self.file = self.stack.enter_context(writing(self.place.file(PIXELS)))
        held, self.held = self.held, []
        for pixels in held:
            self._write(pixels)

    def _write(self, pixels: Array) -> None:
        assert self.file is not None
        self.file.write(np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:3], self.channels))).data)

    def _widen(self, channels: int) -> None:
        """Repeat what is in the file over more channels, from its end to its beginning."""
        if self.file is not None:
            self.file.flush()
            with Path(self.file.name).open("r+b") as file:
                for end in range(self.file.tell(), 0, -BLOCK):
                    start = max(0, end - BLOCK)
                    file.seek(start)
                    grey = np.frombuffer(file.read(end - start), np.uint8)
                    file.seek(start * channels)
                    file.write(np.repeat(grey, channels).data)
                file.seek(0, os.SEEK_END)
                self.file.seek(file.tell())
        self.channels = channels


def spilled(dataset: Dataset, how: str) -> Dataset:
    """The dataset with its pixels in a store, where they are in memory and too many for it; else as it is.

    So that also what a reader cannot give image by image takes little memory once it is read.
    """
    parts = dataset.splits
    held = sum(images.pixels.nbytes for images in parts.values() if not is_mapped(images.pixels))
    if held <= memory.limit():
        return dataset
    contents = [file.sha256 for file in dataset.files] or [images.digest for images in parts.values()]

    def build(collector: Collector) -> dict[str, Array]:
        for images in parts.values():
            for _, block in blocks(images.pixels):
                collector.extend(block)
        return {}

    place = Place.of(dataset.name, (), f"{how} {contents}")
    pixels, _ = collected(place, sum(map(len, parts.values())), build)
    mapped = zip(parts.items(), divided(pixels, map(len, parts.values())), strict=True)
    return replace(dataset, splits={name: replace(images, pixels=its) for (name, images), its in mapped})


def told(pixels: Any) -> str:
    """Where pixels are mapped from, and how to be rid of that; "" where they are in memory."""
    if not isinstance(pixels, MappedPixels):
        return ""
    return (
        f"{len(pixels):,} images are {size_said(pixels.nbytes)} of pixels, more than the {size_said(memory.limit())} "
        f"that are held in memory: they are read from {pixels.path}, which can be removed when no run needs it."
    )


def _sampled(path: Path) -> str:
    """A hash of pieces of a file."""
    return hashlib.sha256(b"".join(_pieces(path))).hexdigest()


def _pieces(path: Path) -> Iterable[bytes]:
    """The beginning, the middle and the end of a file; nothing where it cannot be read."""
    with suppress(OSError), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for at in sorted({0, max(0, size // 2 - PIECE // 2), max(0, size - PIECE)}):
            file.seek(at)
            yield file.read(PIECE)
