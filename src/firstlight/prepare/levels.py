"""Images whose pixels are other numbers than bytes, as the 256 levels that a preparation takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from firstlight.errors import ExperimentError
from firstlight.prepare.preparation import Preparation
from firstlight.types import Array

_TOP = 255
_FAR = 15  # times as large is another scale: bytes and sixteenths, bytes and shares of white
_CHUNK = 4096  # images at a time, so that no wide copy of all of them is made


@dataclass(frozen=True)
class Levels:
    """The range of numbers that the levels 0 to 255 stand for, the same for every pixel and channel.

    Numbers in between are held to half a level, a 510th of the range; those beyond become its nearer end.
    """

    low: float = 0.0
    high: float = 255.0

    @classmethod
    def fit(cls, values: Array) -> Levels:
        """The range of training images of any real numbers, finite.

        uint8            0 to 255, whatever occurs
        none negative    0, black, to the largest, white: images in [0, 1], in 0..16 or in 0..255 all become the same
        some negative    the smallest to the largest
        """
        if values.dtype == np.uint8:
            return cls()
        low, high = min(0.0, float(values.min())), float(values.max())
        return cls(low, high if high > low else low + 1.0)

    @property
    def signed(self) -> bool:
        """Whether some of the numbers were negative, which no brightness is."""
        return self.low < 0

    def doubt(self, values: Array) -> str:
        """Why images are likely to be on another scale than those in `fit`, as a clause; nothing where they fit.

        Pixels in 0 to 255 and the same divided by 255 or standardized look alike to a person, and mean something else
        to a model: what lies beyond the range becomes its end, and what fills a corner of it is black.
        """
        low, high = float(values.min()), float(values.max())
        saw, now = f"fit saw numbers from {self.low:g} to {self.high:g}", f"these go from {low:g} to {high:g}"
        if values.dtype == np.uint8 and self == Levels():
            return ""
        span = self.high - self.low
        if high - self.low >= _FAR * span or (not self.signed and low < -0.05 * span):
            return f"{saw}, {now}: values outside are clipped"
        if not self.signed and self.high >= _FAR and (0 < high <= 1 or (low < 0 and high <= self.high / _FAR)):
            return f"{saw}, {now}: the model would see them as nearly black"
        return ""

    def apply(self, values: Array) -> Array:
        """The levels of `values`, uint8 and of the same shape; bytes that are levels already stay as they are."""
        if values.dtype == np.uint8 and self == Levels():
            return values
        levels = np.empty(values.shape, np.uint8)
        for start in range(0, len(values), _CHUNK):
            chunk = np.clip(values[start : start + _CHUNK].astype(np.float64), self.low, self.high)
            levels[start : start + _CHUNK] = np.rint((chunk - self.low) * (_TOP / (self.high - self.low)))
        return levels

    def as_given(self, preparation: Preparation) -> Preparation:
        """A preparation fitted on levels, so that a model sees signed numbers as they were given: x, not x / 255.

        Brightness is left alone, and so is what is standardized: that is the same for levels and for the numbers.
        Raises ExperimentError for ImageNet's statistics, which are of brightness.
        """
        if not self.signed or preparation.standardise in ("pixel", "channel"):
            return preparation
        if preparation.standardise == "imagenet":
            raise ExperimentError(
                f'prepare.standardise = "imagenet" is of brightness; these images have numbers down to {self.low:g}. '
                "Give the images before they were standardized."
            )
        step = (self.high - self.low) / _TOP
        scale, shift = np.full_like(preparation.scale, step), np.full_like(preparation.shift, self.low)
        return replace(preparation, scale=scale, shift=shift)
