"""Numbers as colours: maps of a net's values as pictures that read in light and dark, and to the colour-blind.

What is never negative goes from dark violet to yellow (viridis by Smith and van der Walt, 2015, at nine points); what
has a sign goes from blue over nearly white, which is nothing, to orange.
"""

from __future__ import annotations

import numpy as np

from firstlight.types import Array

VIRIDIS = ("440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725")
SIGNED = ("003f63", "0072b2", "8fc1de", "f5f4f0", "f0b48c", "d55e00", "7a3200")
HEAT = np.array([240, 120, 0], np.float32)  # a single hue, for what lies over an image


def amounts(values: Array, most: float) -> Array:
    """Numbers (h, w) from 0 to `most` as colours uint8 (h, w, 3); what lies outside takes the colour of the end."""
    return _coloured(_share(values, most), VIRIDIS)


def signed(values: Array, extent: float) -> Array:
    """Numbers (h, w) from -`extent` to `extent` as colours uint8 (h, w, 3); 0 is nearly white."""
    return _coloured((_share(values, extent, -1) + 1) / 2, SIGNED)


def over(pixels: Array, heat: Array) -> Array:
    """An image uint8 (H, W, C) in grey, tinted where `heat` (H, W), at least 0, is high; its greatest tints fully."""
    grey = 40 + 0.6 * pixels.mean(axis=2, dtype=np.float32)[:, :, None]  # neither black nor white: both take the hue
    opacity = 0.85 * _share(heat, float(heat.max(initial=0)))[:, :, None]
    return np.asarray((1 - opacity) * grey + opacity * HEAT).round().astype(np.uint8)


def _share(values: Array, most: float, least: float = 0) -> Array:
    """Numbers as shares of `most`, cut off at `least` and 1; what is not a number counts as nothing."""
    with np.errstate(invalid="ignore", over="ignore"):
        shares = np.asarray(values, np.float32) / (most if np.isfinite(most) and most > 0 else 1)
    return np.clip(np.nan_to_num(shares), least, 1)


def _coloured(shares: Array, colours: tuple[str, ...]) -> Array:
    """Shares from 0 to 1 as colours, between which it goes straight."""
    points = np.array([list(bytes.fromhex(colour)) for colour in colours], np.float32)
    places = np.linspace(0, 1, len(points))
    channels = [np.interp(shares, places, points[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)
