"""A mirror image, upside down."""

from __future__ import annotations

from firstlight.prepare.augmentations.base import AUGMENTATIONS, Amounts, Uniform
from firstlight.prepare.augmentations.flip import Flip


@AUGMENTATIONS.register
class FlipVertical(Flip):
    """The probability of a mirror image, upside down."""

    def draw(self, amounts: Amounts, uniform: Uniform) -> None:
        amounts.flips = (self.sign(uniform), amounts.flips[1])
