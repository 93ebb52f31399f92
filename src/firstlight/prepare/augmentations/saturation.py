"""Saturation: how colourful a pixel is."""

from __future__ import annotations

from typing import ClassVar

from firstlight.prepare.augmentations.base import AUGMENTATIONS, Amounts, Numbers, Ranged, Uniform
from firstlight.prepare.augmentations.colours import must_have_colours
from firstlight.types import Shape


@AUGMENTATIONS.register
class Saturation(Ranged):
    """Make colours stronger by this share, -1 for grey: 0.4 is [-0.4, 0.4]."""

    bounds: ClassVar[Numbers] = (-1, 4)
    unit: ClassVar[str] = "a change of saturation, -1 for grey"

    def check(self, name: str, shape: Shape, images: int) -> None:
        must_have_colours(name, shape)

    def draw(self, amounts: Amounts, uniform: Uniform) -> None:
        amounts.saturation *= 1 + self.amount(uniform)
