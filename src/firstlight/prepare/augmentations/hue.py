"""Hue: all colours turned round the colour wheel."""

from __future__ import annotations

from typing import ClassVar

from firstlight.prepare.augmentations.base import AUGMENTATIONS, Amounts, Numbers, Ranged, Uniform
from firstlight.prepare.augmentations.colours import must_have_colours
from firstlight.types import Shape


@AUGMENTATIONS.register
class Hue(Ranged):
    """Turn all colours by this share of the way round the colour wheel: 0.05 is [-0.05, 0.05]."""

    bounds: ClassVar[Numbers] = (-0.5, 0.5)
    unit: ClassVar[str] = "a share of the way round the colour wheel"

    def check(self, name: str, shape: Shape, images: int) -> None:
        must_have_colours(name, shape)

    def draw(self, amounts: Amounts, uniform: Uniform) -> None:
        amounts.hue += self.amount(uniform)
