"""Gaussian noise."""

from __future__ import annotations

from typing import ClassVar

from firstlight.prepare.augmentations.base import AUGMENTATIONS, Amounts, Numbers, Ranged, Uniform


@AUGMENTATIONS.register
class Noise(Ranged):
    """Add Gaussian noise with a standard deviation of this share of 255: 0.05 is just that."""

    bounds: ClassVar[Numbers] = (0, 1)
    unit: ClassVar[str] = "a standard deviation, as a share of the way from black to white"

    @classmethod
    def spread(cls, amount: float) -> Numbers:
        return amount, amount

    def draw(self, amounts: Amounts, uniform: Uniform) -> None:
        amounts.noise = self.amount(uniform)
        amounts.noise_keys = uniform.hashes(2)
