"""A shift, down and to the right."""

from __future__ import annotations

from typing import ClassVar

from firstlight.prepare.augmentations.base import AUGMENTATIONS, Amounts, Numbers, Ranged, Uniform


@AUGMENTATIONS.register
class Shift(Ranged):
    """Shift by this share of the height, and another one of the width: 0.1 is [-0.1, 0.1]."""

    bounds: ClassVar[Numbers] = (-1, 1)
    unit: ClassVar[str] = "a share of the height and of the width"

    def draw(self, amounts: Amounts, uniform: Uniform) -> None:
        amounts.shift_by(self.amount(uniform), self.amount(uniform, 2))
