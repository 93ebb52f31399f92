"""Zoom: a change of size."""

from __future__ import annotations

from typing import ClassVar

from firstlight.prepare.augmentations.base import AUGMENTATIONS, Amounts, Numbers, Ranged, Uniform


@AUGMENTATIONS.register
class Zoom(Ranged):
    """Change the size by this share: 0.1 is [-0.1, 0.1]."""

    bounds: ClassVar[Numbers] = (-0.8, 4)
    unit: ClassVar[str] = "a change of size, 0.1 for a tenth larger"

    def draw(self, amounts: Amounts, uniform: Uniform) -> None:
        amounts.zoom += self.amount(uniform)
