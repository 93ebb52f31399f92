"""TrivialAugment: one operation at random, of any strength."""

from __future__ import annotations

import numpy as np

from firstlight.prepare.augmentations.base import AUGMENTATIONS, Amounts, Transform, Uniform
from firstlight.prepare.augmentations.policies import USUAL, WIDE, choose

STRENGTHS = 31


@AUGMENTATIONS.register
class TrivialAugment(Transform):
    """Apply one random operation of random strength to each image (Müller and Hutter 2021).

    They are those of RandAugment. There is nothing to tune.

    wide  take the paper's wider ranges: turned by up to 135 degrees, slanted by up to 45
    """

    wide: bool = False

    def draw(self, amounts: Amounts, uniform: Uniform) -> None:
        strength = (uniform(2) * STRENGTHS).astype(np.int64) / (STRENGTHS - 1)
        sign = np.where(uniform(3) < 0.5, -1.0, 1.0)
        choose(amounts, WIDE if self.wide else USUAL, uniform(1), np.where(uniform(0) < self.p, sign * strength, 0.0))
