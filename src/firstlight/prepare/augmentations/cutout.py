"""Cutout: a patch is painted over (DeVries and Taylor 2017)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from firstlight.prepare.augmentations.base import AUGMENTATIONS, Amounts, Numbers, Ranged, Uniform


@AUGMENTATIONS.register
class Cutout(Ranged):
    """Paint a patch of this share of each side with `fill_value`; its centre is anywhere. 0.25 is just that."""

    bounds: ClassVar[Numbers] = (0, 1)
    unit: ClassVar[str] = "a share of each side"

    @classmethod
    def spread(cls, amount: float) -> Numbers:
        return amount, amount

    def draw(self, amounts: Amounts, uniform: Uniform) -> None:
        amounts.patch = np.zeros((amounts.n, 4), np.int64)
        for axis, side in enumerate(amounts.shape[:2]):
            length = np.ceil(self.amount(uniform) * side - 0.5).astype(np.int64)
            start = (uniform(2 + axis) * side).astype(np.int64) - length // 2
            amounts.patch[:, 2 * axis], amounts.patch[:, 2 * axis + 1] = np.clip([start, start + length], 0, side)
