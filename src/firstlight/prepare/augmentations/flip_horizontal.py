"""A mirror image, left to right."""

from __future__ import annotations

from firstlight.prepare.augmentations.base import AUGMENTATIONS, Amounts, Uniform
from firstlight.prepare.augmentations.flip import Flip


@AUGMENTATIONS.register
class FlipHorizontal(Flip):
    """The probability of a mirror image, left to right."""

    def draw(self, amounts: Amounts, uniform: Uniform) -> None:
        amounts.flips = (amounts.flips[0], self.sign(uniform))
