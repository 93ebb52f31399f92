"""Colour jitter: hue and saturation as one matrix a pixel is multiplied by."""

from __future__ import annotations

from typing import Any

import numpy as np

from firstlight.errors import ExperimentError
from firstlight.types import Array, Shape

# Luma of red, green and blue (ITU-R BT.601), as Pillow has it.
LUMA = np.array([0.299, 0.587, 0.114])
# From RGB to YIQ, whose plane of I and Q is that of the colours of one luma (NTSC 1953), and back.
YIQ = np.array([LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
RGB = np.linalg.inv(YIQ)


def must_have_colours(name: str, shape: Shape) -> None:
    """Raise ExperimentError where images of `shape` (H, W, C) are grey."""
    if shape[2] != 3:
        raise ExperimentError(
            f"augment.{name} changes colours, and the images are grey. Leave it out, or take prepare.greyscale back.",
            key=f"augment.{name}",
        )


def matrices(n: int, hue: Any, saturation: Any) -> Array | None:
    """float32 (n, 3, 3): what a pixel is multiplied by to turn its hue by a share of the wheel, and to stretch its
    distance from grey by `saturation`; None where nothing is drawn. Its luma stays.
    """
    if not np.any(hue) and np.all(saturation == 1):
        return None
    angle, stretch = np.broadcast_to(2 * np.pi * hue, n), np.broadcast_to(saturation, n)
    turned = np.zeros((n, 3, 3))
    turned[:, 0, 0] = 1
    turned[:, 1, 1] = turned[:, 2, 2] = stretch * np.cos(angle)
    turned[:, 1, 2] = stretch * np.sin(angle)  # from red to green, as the wheel goes, is clockwise in I and Q
    turned[:, 2, 1] = -turned[:, 1, 2]
    found = (RGB @ turned @ YIQ).astype(np.float32)
    found[(angle == 0) & (stretch == 1)] = np.eye(3)  # exactly
    return found
