"""MixUp: two images laid over each other, and their labels."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt, Le

from firstlight.kernels import Kernels
from firstlight.prepare.augmentations.base import AUGMENTATIONS, Mixing
from firstlight.types import Array

LEVELS = 256  # of shares: pixels are bytes


@AUGMENTATIONS.register(name="mixup")
class MixUp(Mixing):
    """λ of the image and 1 − λ of another one, and of their labels (Zhang, Cissé, Dauphin and Lopez-Paz 2018).

    alpha  α of Beta(α, α), from which λ is drawn: the smaller, the less is mixed; the paper has 0.1 to 0.4, and 1
    """

    alpha: Annotated[float, Gt(0), Le(100)] = 0.2

    main: ClassVar[str] = "alpha"

    def mix(self, images: Array, others: Array, uniform: Array, kernels: Kernels) -> tuple[Array, Array]:
        levels = np.round(LEVELS * beta_quantile(self.alpha, uniform[:, 0])).astype(np.int64)
        return kernels.mix(images, others, levels, np.zeros((len(images), 4), np.int64)), levels / LEVELS


def beta_quantile(alpha: float, share: Array) -> Array:
    """The λ below which Beta(α, α) has a share (n,) of its mass."""
    from scipy.special import betaincinv  # a third of what it takes to import all of firstlight, and mixing is rare

    quantile: Array = betaincinv(alpha, alpha, share)
    return quantile
