"""Shear: rows slide along each other."""

from __future__ import annotations

from typing import ClassVar

from firstlight.prepare.augmentations.base import AUGMENTATIONS, Amounts, Numbers, Ranged, Uniform


@AUGMENTATIONS.register
class Shear(Ranged):
    """Shear by so many degrees: 10 is [-10, 10]."""

    bounds: ClassVar[Numbers] = (-60, 60)
    unit: ClassVar[str] = "degrees"

    def draw(self, amounts: Amounts, uniform: Uniform) -> None:
        amounts.shear += self.amount(uniform)
