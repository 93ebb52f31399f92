"""Rotation about the centre."""

from __future__ import annotations

from typing import ClassVar

from firstlight.prepare.augmentations.base import AUGMENTATIONS, Amounts, Numbers, Ranged, Uniform


@AUGMENTATIONS.register
class Rotate(Ranged):
    """Rotate by so many degrees: 15 is [-15, 15]."""

    bounds: ClassVar[Numbers] = (-180, 180)
    unit: ClassVar[str] = "degrees, anticlockwise"

    def draw(self, amounts: Amounts, uniform: Uniform) -> None:
        amounts.rotate += self.amount(uniform)
