"""RandAugment: a few operations at random, all equally strong."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Le

from firstlight.prepare.augmentations.base import AUGMENTATIONS, Amounts, Transform, Uniform
from firstlight.prepare.augmentations.policies import USUAL, choose


@AUGMENTATIONS.register
class RandAugment(Transform):
    """Apply `ops` random operations to each image, of one strength (Cubuk, Zoph, Shlens and Le 2020).

    They are those of the paper that are here: nothing, rotate, shear, shift down and shift right, contrast, brightness
    and, in colour, saturation, with the ranges of the paper at a magnitude of 10. The paper does them one after
    another; here they are put together, in one affine map and one change of light.

    magnitude  M: how strong; at 10, as strong as the ranges of the paper
    ops        N: how many operations
    """

    magnitude: Annotated[float, Ge(0), Le(10)] = 5.0
    ops: Annotated[int, Ge(1), Le(5)] = 2

    main: ClassVar[str] = "magnitude"

    def draw(self, amounts: Amounts, uniform: Uniform) -> None:
        happens = np.where(uniform(0) < self.p, self.magnitude / 10, 0.0)
        for k in range(self.ops):
            sign = np.where(uniform(2 + 2 * k) < 0.5, -1.0, 1.0)
            choose(amounts, USUAL, uniform(1 + 2 * k), sign * happens)
