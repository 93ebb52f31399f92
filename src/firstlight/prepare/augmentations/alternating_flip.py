"""Mirror images by turns (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU")."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from firstlight.prepare.augmentations.base import AUGMENTATIONS, Amounts, Transform, Uniform


@AUGMENTATIONS.register
class AlternatingFlip(Transform):
    """Mirror each image, left to right, in every second epoch; which half of them begins is drawn once (Jordan 2024).

    Any two epochs in a row show both sides of every image, where flips at random show one side twice to half of them.
    """

    once: ClassVar[bool] = True

    def draw(self, amounts: Amounts, uniform: Uniform) -> None:
        mirrored = (uniform(1) < 0.5) ^ (amounts.epoch % 2 == 1)
        down, across = amounts.flips
        amounts.flips = (down, across * np.where(mirrored & (uniform(0) < self.p), -1.0, 1.0))
