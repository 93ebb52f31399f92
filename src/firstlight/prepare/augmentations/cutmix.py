"""CutMix: a patch of one image pasted into another, and their labels mixed by the area."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt, Le

from firstlight.errors import ExperimentError
from firstlight.kernels import Kernels
from firstlight.prepare.augmentations.base import AUGMENTATIONS, Mixing
from firstlight.prepare.augmentations.mixup import LEVELS, beta_quantile
from firstlight.types import Array, Shape


@AUGMENTATIONS.register(name="cutmix")
class CutMix(Mixing):
    """A patch of another image, of 1 − λ of the area, in its place; labels by the area that is seen (Yun et al. 2019).

    alpha  α of Beta(α, α), from which λ is drawn: the paper has 1, for which all areas are equally likely
    """

    alpha: Annotated[float, Gt(0), Le(100)] = 1.0

    main: ClassVar[str] = "alpha"
    numbers: ClassVar[int] = 3

    def check(self, name: str, shape: Shape, images: int) -> None:
        super().check(name, shape, images)
        if max(shape[:2]) < 2:
            raise ExperimentError(
                f"augment.{name} pastes a part of an image, and the images have one pixel. Leave it out.",
                key=f"augment.{name}",
            )

    def mix(self, images: Array, others: Array, uniform: Array, kernels: Kernels) -> tuple[Array, Array]:
        _, H, W, _ = images.shape
        patches = self.patches(uniform, (H, W))
        top, bottom, left, right = patches.T
        levels = np.full(len(images), LEVELS)
        return kernels.mix(images, others, levels, patches), 1 - (bottom - top) * (right - left) / (H * W)

    def patches(self, uniform: Array, size: tuple[int, int]) -> Array:
        """int64 (n, 4): top, bottom, left, right; the centre is anywhere, and what lies outside is cut off."""
        side = np.sqrt(1 - beta_quantile(self.alpha, uniform[:, 0]))
        found = np.empty((len(uniform), 4), np.int64)
        for axis, length in enumerate(size):
            half = (side * length / 2).astype(np.int64)
            centre = (uniform[:, 1 + axis] * length).astype(np.int64)
            found[:, 2 * axis], found[:, 2 * axis + 1] = np.clip([centre - half, centre + half], 0, length)
        return found
