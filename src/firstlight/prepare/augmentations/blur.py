"""Gaussian blur."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from firstlight.errors import ExperimentError
from firstlight.kernels import Kernels
from firstlight.prepare.augmentations.base import AUGMENTATIONS, Numbers, PixelTransform, Ranged
from firstlight.types import Array, Shape

REACH = 3  # standard deviations, beyond which the bell is cut off


@AUGMENTATIONS.register
class Blur(Ranged, PixelTransform):
    """Gaussian blur, with a standard deviation of so many pixels; edges are replicated: 1 is [0, 1]."""

    bounds: ClassVar[Numbers] = (0, 16)
    unit: ClassVar[str] = "a standard deviation in pixels"
    numbers: ClassVar[int] = 1
    turn: ClassVar[int] = 1

    @classmethod
    def spread(cls, amount: float) -> Numbers:
        return 0.0, amount

    def check(self, name: str, shape: Shape, images: int) -> None:
        if max(shape[:2]) < 2:
            raise ExperimentError(
                f"augment.{name} averages neighbouring pixels, and the images have one pixel. Leave it out.",
                key=f"augment.{name}",
            )

    def run(self, images: Array, uniform: Array, kernels: Kernels) -> Array:
        return kernels.blur(images, self.taps(self.low + (self.high - self.low) * uniform[:, 0]))

    def taps(self, deviations: Array) -> Array:
        """float32 (n, R + 1): what a pixel counts, and its neighbours up to R pixels away on either side."""
        distance = np.arange(math.ceil(REACH * self.high) + 1)
        with np.errstate(over="ignore"):
            bells = np.exp(-0.5 * np.square(distance / np.maximum(deviations, 1e-6)[:, None]))
        bells /= bells[:, :1] + 2 * bells[:, 1:].sum(axis=1, keepdims=True)
        return bells.astype(np.float32)
