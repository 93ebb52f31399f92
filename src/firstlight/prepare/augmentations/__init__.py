"""Augmentations, one file each: what may be asked of it, what it draws for an image, and what it does."""

from firstlight.components import import_modules
from firstlight.prepare.augmentations.base import (
    AUGMENTATIONS,
    Amounts,
    Mixing,
    PixelTransform,
    Ranged,
    Transform,
    Uniform,
)

import_modules(__name__, __path__)

__all__ = ["AUGMENTATIONS", "Amounts", "Mixing", "PixelTransform", "Ranged", "Transform", "Uniform"]
