"""A shift by whole pixels."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from firstlight.errors import ExperimentError
from firstlight.prepare.augmentations.base import AUGMENTATIONS, Amounts, Transform, Uniform
from firstlight.types import Shape


@AUGMENTATIONS.register
class Translate(Transform):
    """Shift by a whole number of pixels, up to so many in each direction, all equally likely: no pixel is blurred.

    pixels  the most, down, up, left and right
    """

    main: ClassVar[str] = "pixels"

    pixels: Annotated[int, Ge(1)] = 2

    def check(self, name: str, shape: Shape, images: int) -> None:
        if self.pixels >= min(shape[:2]):
            raise ExperimentError(
                f"augment.{name} shifts by up to {self.pixels} pixels, and the images have {shape[0]} × {shape[1]}. "
                "Take fewer.",
                key=f"augment.{name}",
            )

    def draw(self, amounts: Amounts, uniform: Uniform) -> None:
        steps = (np.floor(uniform(number) * (2 * self.pixels + 1)) - self.pixels for number in (1, 2))
        happens = uniform(0) < self.p
        amounts.shift_by(
            *(np.where(happens, step / side, 0.0) for step, side in zip(steps, amounts.shape, strict=False))
        )
