"""In which way one image is a near copy of another, in words."""

from __future__ import annotations

import numpy as np

from firstlight.data.near_copies import TURNS, NearCopy
from firstlight.text import listed
from firstlight.types import Array

BRIGHTER = 6.0  # grey levels of the mean
CONTRAST = 1.15  # times as much, or as little
TINTED = 6.0  # grey levels by which the change of one channel differs from that of another
REST = 2.5  # grey levels: what light does not explain


def alteration(first: Array, second: Array, pair: NearCopy) -> str:
    """What makes the second of two images uint8 (H, W, C) differ from the first: "mirrored, shifted and brightened"."""
    height, width = first.shape[:2]
    down, right = round(pair.down * height), round(pair.right * width)
    words = TURNS[pair.turn].split(", ") if pair.turn else []
    if down or right:
        words.append(
            f"shifted by {max(abs(down), abs(right))} {'pixel' if max(abs(down), abs(right)) == 1 else 'pixels'}"
        )
    back = turned_back(second, pair.turn)
    if back.shape == first.shape:
        words += _light(*_overlap(first.astype(float), back.astype(float), down, right))
    return listed(words) or "otherwise the same"


def turned_back(image: Array, turn: int) -> Array:
    """The second image of a pair (H, W, C), turned to be like the first."""
    image = image[::-1] if turn & 2 else image
    image = image[:, ::-1] if turn & 1 else image
    return image.swapaxes(0, 1) if turn & 4 else image


def _overlap(a: Array, b: Array, down: int, right: int) -> tuple[Array, Array]:
    """What a, and b moved down and to the right, both show."""
    height, width = a.shape[:2]
    here = a[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
    there = b[max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)]
    return here, there


def _light(a: Array, b: Array) -> list[str]:
    """How light and sharpness have changed from a to b, float (h, w, C)."""
    if not a.size:
        return []
    words = []
    change = (b - a).mean(axis=(0, 1))
    if abs(change.mean()) >= BRIGHTER:
        words.append("brightened" if change.mean() > 0 else "darkened")
    contrast = (b.std() + 1e-6) / (a.std() + 1e-6)
    if not 1 / CONTRAST <= contrast <= CONTRAST:
        words.append("with more contrast" if contrast > 1 else "with less contrast")
    if np.ptp(change) >= TINTED:
        words.append("in other colours")
    rest = b - b.mean(axis=(0, 1)) - (a - a.mean(axis=(0, 1))) * contrast
    if np.sqrt((rest**2).mean()) >= REST:
        words.append("resized or compressed")
    return words
