"""Elastic deformation: every part of the image a little off its place, and neighbours alike."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from firstlight.errors import ExperimentError
from firstlight.kernels import Kernels
from firstlight.prepare.augmentations.base import AUGMENTATIONS, PixelTransform
from firstlight.types import Array, Shape

SPLINE_SD = 3**-0.5  # standard deviation of a cubic B-spline, of knots one apart
SPLINE_GAIN = 2.1  # 1 / Σ of its squares over a plane, about the same everywhere: what makes up for smoothing


@AUGMENTATIONS.register
class Elastic(PixelTransform):
    """Move each pixel by a smooth random field (Simard, Steinkraus and Platt 2003): 0.03 for 3 % of a side.

    The paper smooths noise by a Gaussian. A cubic B-spline of the same width is nearly one (Unser 1999), and needs
    noise at its knots alone.

    amount      how far pixels are moved each way, as a standard deviation and a share of the shorter side
    smoothness  the standard deviation of the smoothing, as a share of the shorter side
    """

    amount: Annotated[float, Gt(0), Le(0.5)] = 0.03
    smoothness: Annotated[float, Ge(0.03), Le(1)] = 0.14

    main: ClassVar[str] = "amount"
    numbers: ClassVar[int] = 1
    turn: ClassVar[int] = 0

    def check(self, name: str, shape: Shape, images: int) -> None:
        if min(shape[:2]) < 2:
            raise ExperimentError(
                f"augment.{name} moves pixels apart, and the images are {shape[0]}×{shape[1]}. Leave it out.",
                key=f"augment.{name}",
            )

    def run(self, images: Array, uniform: Array, kernels: Kernels) -> Array:
        side = min(images.shape[1:3])
        keys = (uniform[:, 0] * 2.0**53).astype(np.uint64)
        return kernels.elastic(images, keys, SPLINE_GAIN * self.amount * side, self.smoothness * side / SPLINE_SD)
