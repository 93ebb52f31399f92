"""What the images of a run look like as drawings, and a new drawing brought into their form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from firstlight.data.decoding import resize
from firstlight.errors import FirstlightError, RunError
from firstlight.records.run_folder import RunFolder
from firstlight.types import Array, Images

FAINT = 38  # levels off the paper that are not ink yet
EVEN = 10.0  # levels that the papers of images may differ by and be called the same
LARGEST_GAIN = 3.0  # what a small drawing is enlarged by at most, beyond what the whole sheet is: a dot stays small
SWAY = 0.05  # pixels, so that what is symmetrical does not jump to and fro between two pixels
SAMPLED = 200  # training images are enough to measure ink and paper
COVERED = 0.75  # the share of the sheet's longer side that a person usually draws on


@dataclass(frozen=True)
class StrokeStyle:
    """What some images of a run have in common, as drawings.

    paper  the level of each channel at the images' borders, 0 to 255
    light  whether what they show is lighter than their paper
    plain  whether they are grey and have the same paper throughout, as scanned digits do and photographs do not
    box    pixels of the longer side of what they show
    brush  the width of a stroke, as a share of the sheet's longer side
    """

    paper: tuple[int, ...]
    light: bool
    plain: bool
    box: float
    brush: float

    @classmethod
    def of(cls, images: Images) -> StrokeStyle:
        """Measured over images as the model saw them, at least one."""
        pixels = np.asarray(images.pixels).astype(np.float64)
        papers = np.median(_border(pixels), axis=1)
        paper = np.median(papers, axis=0)
        off = pixels - paper
        ink = np.abs(off).max(axis=3)
        boxes = [max(rows.stop - rows.start, cols.stop - cols.start) for rows, cols in map(_extent, ink)]
        box = float(np.median(boxes))
        return cls(
            paper=tuple(int(level) for level in np.rint(paper)),
            light=bool(off.sum() >= 0),
            plain=pixels.shape[3] == 1 and float(papers.std(axis=0).max()) < EVEN,
            box=box,
            brush=float(np.clip(COVERED * _stroke(ink) / box, 0.03, 0.2)),
        )


def style_of_run(folder: RunFolder, otherwise: Callable[[], Images]) -> StrokeStyle:
    """That of the training images that a run's folder keeps, or of those that `otherwise` gives: the run's own.

    Raises RunError where neither can be had.
    """
    try:
        images = folder.samples["train"]
    except (FirstlightError, LookupError) as error:
        try:
            images = otherwise()
        except FirstlightError as other:
            kept = error if isinstance(error, FirstlightError) else f"{folder.path} keeps no training images."
            raise RunError(f"{kept} {other}") from None
        images = images.take(np.arange(min(len(images), SAMPLED)))
    return StrokeStyle.of(images)


def fitted(pixels: Array, box: float, size: tuple[int, int]) -> Array:
    """One drawing uint8 (H, W, C), scaled and moved as the digits of MNIST were (LeCun et al. 1998), to `size`.

    What differs from the paper, which is the median of the border, is scaled so that its longer side is `box` pixels,
    keeping the aspect ratio. It is put where its centre of mass is the middle of the sheet, as far as it stays whole.
    A drawing without ink is an empty sheet.
    """
    paper = np.rint(np.median(_border(pixels[None]), axis=1)).astype(np.uint8)
    sheet = np.empty((*size, pixels.shape[2]), np.uint8)
    sheet[:] = paper
    ink = _off(pixels, paper)
    if ink.max() <= FAINT:
        return sheet
    rows, cols = _extent(ink)
    height, width = rows.stop - rows.start, cols.stop - cols.start
    plain = max(size[0] / pixels.shape[0], size[1] / pixels.shape[1])
    scale = min(box / max(height, width), size[0] / height, size[1] / width, LARGEST_GAIN * plain)
    small_size = tuple(min(max(round(side * scale), 1), most) for side, most in zip((height, width), size, strict=True))
    small = resize(np.ascontiguousarray(pixels[rows, cols])[None], (small_size[0], small_size[1]))[0]
    weight = _off(small, paper)
    top, left = (
        min(max(round((most - 1) / 2 - _centre(weight.sum(axis=1 - axis)) - SWAY), 0), most - side)
        for axis, (most, side) in enumerate(zip(size, small_size, strict=True))
    )
    sheet[top : top + small_size[0], left : left + small_size[1]] = small
    return sheet


def _border(pixels: Array) -> Array:
    """The outermost pixels of each image, (N, 2 (H + W), C)."""
    edges = (pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1])
    return np.concatenate(edges, axis=1)


def _off(pixels: Array, paper: Array) -> Array:
    """How far each pixel (H, W, C) is from the paper, (H, W), in its farthest channel."""
    return np.abs(pixels.astype(np.int16) - paper).max(axis=2)


def _extent(ink: Array) -> tuple[slice, slice]:
    """The rows and columns of an image (H, W) that hold ink; all of them where there is none."""
    found = []
    for axis in (1, 0):
        at = np.flatnonzero((ink > FAINT).any(axis=axis))
        found.append(slice(int(at[0]), int(at[-1]) + 1) if len(at) else slice(0, ink.shape[1 - axis]))
    return found[0], found[1]


def _centre(masses: Array) -> float:
    return float((masses * np.arange(len(masses))).sum() / masses.sum())


def _stroke(ink: Array) -> float:
    """The usual width of a stroke in pixels, from ink (N, H, W): twice its area by the length of its outline."""
    levels = np.pad(ink, ((0, 0), (1, 1), (1, 1)))
    down, right = np.diff(levels, axis=1)[:, :, :-1], np.diff(levels, axis=2)[:, :-1]
    outline = np.hypot(down, right).sum(axis=(1, 2))
    return float(np.median(2 * ink.sum(axis=(1, 2)) / np.maximum(outline, 1)))
