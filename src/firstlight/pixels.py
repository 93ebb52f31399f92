"""Pixels of more images than fit into memory: a file that is mapped, and which of its images are meant, in what order.

Whoever goes over all pixels of `Images` does it by `blocks`, and whoever gives some to a kernel asks `located` where
they lie; both take NumPy arrays as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firstlight.errors import DataError
from firstlight.memory import VARIABLE, limit
from firstlight.text import size_said

Array = NDArray[Any]

BLOCK = 1 << 24  # bytes of pixels that are looked at together


@dataclass(frozen=True, eq=False)
class MappedPixels:
    """Pixels uint8 (N, H, W, C) that lie in a file: an array by its length, its shape and its indices, read only.

    An index, a slice or an array of indices gives a NumPy array of these images, copied; to take images without
    copying any is `take`.

    path    the file: pixels uint8 of `stored` = (M, H, W, C), one image after the other
    rows    which images of the file these are, int64 (N,)
    change  what is done with images of the file whenever they are read, from uint8 (n, H, W, C) to (n, *image); the
            images of a chunk do not depend on one another. None: nothing
    image   the shape (H, W, C) of an image after that
    """

    path: Path
    stored: tuple[int, int, int, int]
    rows: Array
    change: Callable[[Array], Array] | None = None
    image: tuple[int, ...] = ()

    dtype = np.dtype(np.uint8)
    ndim = 4

    @cached_property
    def base(self) -> Array:
        """All images of the file, uint8 (M, H, W, C), mapped. Raises DataError where it is gone or another."""
        try:
            if self.path.stat().st_size != math.prod(self.stored):
                raise DataError(f"{self.path} is not the store that it was. Load the images again.")
            return np.asarray(np.memmap(self.path, np.uint8, "r", shape=self.stored))
        except OSError as error:
            raise DataError(f"{self.path}: the stored pixels cannot be read: {error.strerror}.") from None

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *(self.image or self.stored[1:]))

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Array:
        first, rest = (index[0], index[1:]) if isinstance(index, tuple) else (index, ())
        if isinstance(first, int | np.integer):
            image: Array = self[first : first + 1 or None][0]  # and of the last one by −1, to the end
            return image[rest] if rest else image
        pixels = self.base[self.rows[first]]
        found = pixels if self.change is None else self.change(pixels)
        return found[(slice(None), *rest)] if rest else found

    def __iter__(self) -> Iterator[Array]:
        return (image for _, block in blocks(self) for image in block)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """All of them in memory. Raises DataError where they are more than `memory.limit` allows."""
        if self.nbytes > limit():
            raise DataError(
                f"{len(self):,} images are {size_said(self.nbytes)} of pixels, more than the {size_said(limit())} that "
                f"are held in memory ({VARIABLE}). Take some of them, as pixels[:100], or go over "
                "firstlight.pixels.blocks(pixels)."
            )
        return self[:] if dtype is None else self[:].astype(dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        return MappedPixels, (self.path, self.stored, self.rows, self.change, self.image)  # the file is mapped again

    def take(self, index: Array | slice) -> MappedPixels:
        """The images at `index`, an integer or boolean array or a slice, in that order; none is read."""
        return MappedPixels(self.path, self.stored, self.rows[index], self.change, self.image)

    def changed(self, change: Callable[[Array], Array]) -> MappedPixels:
        """The same images with a change more, which is done when they are read; what it leaves alone stays as it is."""
        before, one = self.change, self[:1]
        after = change(one)
        if after is one:
            return self
        both = change if before is None else _Both(before, change)
        return MappedPixels(self.path, self.stored, self.rows, both, after.shape[1:])

    def located(self, index: Array) -> tuple[Array, Array]:
        """See the function of this name."""
        if self.change is None:
            return self.base, self.rows[index]
        found = self[index]
        return found, np.arange(len(found))


@dataclass(frozen=True)
class _Both:
    """Two changes, one after the other; unlike a lambda it can be sent to another process."""

    first: Callable[[Array], Array]
    second: Callable[[Array], Array]

    def __call__(self, pixels: Array) -> Array:
        return self.second(self.first(pixels))


def blocks(pixels: Array | MappedPixels) -> Iterator[tuple[int, Array]]:
    """Go over pixels (N, H, W, C), some images at a time: where a block begins, and the block, contiguous."""
    size = max(1, BLOCK // max(1, math.prod(pixels.shape[1:])))
    for start in range(0, len(pixels), size):
        yield start, np.ascontiguousarray(pixels[start : start + size])


def is_mapped(pixels: Any) -> bool:
    """Whether pixels lie in a file, of which only what is indexed comes into memory."""
    return isinstance(pixels, MappedPixels)


def located(pixels: Array | MappedPixels, index: Array) -> tuple[Array, Array]:
    """An array that has the images at `index` (n,), and their places in it (n,).

    Nothing is copied but mapped images that are changed when they are read.
    """
    return pixels.located(index) if isinstance(pixels, MappedPixels) else (pixels, index)


def taken(pixels: Array | MappedPixels, index: Array | slice) -> Any:
    """The images at `index`: of an array a copy, of mapped ones none."""
    return pixels.take(index) if isinstance(pixels, MappedPixels) else pixels[index]


def changed(pixels: Array | MappedPixels, change: Callable[[Array], Array]) -> Any:
    """Pixels after a change of each image by itself: of an array at once, of mapped ones whenever they are read."""
    return pixels.changed(change) if isinstance(pixels, MappedPixels) else change(pixels)


def concatenated(parts: Sequence[Array | MappedPixels]) -> Any:
    """All parts in one, in that order: mapped where all are of one file, and an array otherwise."""
    first = parts[0]
    if isinstance(first, MappedPixels) and all(_alike(first, part) for part in parts):
        rows = np.concatenate([part.rows for part in parts if isinstance(part, MappedPixels)])
        return MappedPixels(first.path, first.stored, rows, first.change, first.image)
    return np.concatenate([np.asarray(part) for part in parts])


def divided(pixels: Array | MappedPixels, counts: Iterable[int]) -> Iterator[Any]:
    """The first so many images, the next so many, and so on, as `taken`."""
    at = 0
    for count in counts:
        yield taken(pixels, slice(at, at + count))
        at += count


def _alike(first: MappedPixels, other: Array | MappedPixels) -> bool:
    return isinstance(other, MappedPixels) and (other.path, other.change) == (first.path, first.change)
