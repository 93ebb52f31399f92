"""Contrast about the image's own mean."""

from __future__ import annotations

from typing import ClassVar

from firstlight.prepare.augmentations.base import AUGMENTATIONS, Amounts, Numbers, Ranged, Uniform


@AUGMENTATIONS.register
class Contrast(Ranged):
    """Multiply the distance from the image's mean by 1 + this: 0.2 is [-0.2, 0.2]."""

    bounds: ClassVar[Numbers] = (-1, 4)
    unit: ClassVar[str] = "a change of contrast, -1 for plain grey"

    def draw(self, amounts: Amounts, uniform: Uniform) -> None:
        amounts.contrast *= 1 + self.amount(uniform)
