"""Crop: a part of the image, enlarged."""

from __future__ import annotations

from typing import ClassVar

from firstlight.prepare.augmentations.base import AUGMENTATIONS, Amounts, Numbers, Ranged, Uniform


@AUGMENTATIONS.register
class Crop(Ranged):
    """Keep a window of this share of each side, anywhere in the image, and enlarge it: 0.8 is [0.8, 1]."""

    bounds: ClassVar[Numbers] = (0.05, 1)
    unit: ClassVar[str] = "a share of each side that is kept"

    @classmethod
    def spread(cls, amount: float) -> Numbers:
        return amount, 1.0

    def draw(self, amounts: Amounts, uniform: Uniform) -> None:
        kept = self.amount(uniform, otherwise=1.0)
        amounts.crop = kept
        amounts.window = ((uniform(2) - 0.5) * (1 - kept), (uniform(3) - 0.5) * (1 - kept))
