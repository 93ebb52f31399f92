"""Brightness, added."""

from __future__ import annotations

from typing import ClassVar

from firstlight.prepare.augmentations.base import AUGMENTATIONS, Amounts, Numbers, Ranged, Uniform


@AUGMENTATIONS.register
class Brightness(Ranged):
    """Add this share of 255: 0.2 is [-0.2, 0.2]."""

    bounds: ClassVar[Numbers] = (-1, 1)
    unit: ClassVar[str] = "a share of the way from black to white"

    def draw(self, amounts: Amounts, uniform: Uniform) -> None:
        amounts.brightness += self.amount(uniform)
