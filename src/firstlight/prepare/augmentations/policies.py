"""What RandAugment and TrivialAugment choose from: the operations of their papers that firstlight has."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from firstlight.prepare.augmentations.base import Amounts
from firstlight.types import Array


class Strongest(NamedTuple):
    """The amounts at full strength, either way: degrees, and shares.

    Of the published ranges, a shear is given as a slant: 0.3 is 17 degrees. Pillow's brightness multiplies by 1 ± 0.9;
    the same change of a medium grey is to add 0.45 of 255. A shift of the side by 0.45 is 150 of 331 pixels.
    """

    rotate: float
    shear: float
    shift: float = 0.45
    contrast: float = 0.9
    brightness: float = 0.45
    saturation: float = 0.9


USUAL = Strongest(rotate=30, shear=math.degrees(math.atan(0.3)))
WIDE = Strongest(rotate=135, shear=math.degrees(math.atan(0.99)), contrast=0.99, brightness=0.495, saturation=0.99)


def operations(amounts: Amounts, most: Strongest) -> list[Callable[[Any], None]]:
    """What is chosen from: each takes a strength from −1 to 1, of which 0 is nothing. The first does nothing."""

    def more(name: str) -> Callable[[Any], None]:
        def add(strength: Any) -> None:
            setattr(amounts, name, getattr(amounts, name) + getattr(most, name) * strength)

        return add

    def times(name: str) -> Callable[[Any], None]:
        def multiply(strength: Any) -> None:
            setattr(amounts, name, getattr(amounts, name) * (1 + getattr(most, name) * strength))

        return multiply

    return [
        lambda strength: None,
        more("rotate"),
        more("shear"),
        lambda strength: amounts.shift_by(down=most.shift * strength),
        lambda strength: amounts.shift_by(right=most.shift * strength),
        times("contrast"),
        more("brightness"),
        *([times("saturation")] if amounts.has_colours else []),
    ]


def choose(amounts: Amounts, most: Strongest, which: Array, strength: Array) -> None:
    """Do one operation to each image: (n,) evenly in [0, 1) for which, and (n,) how strong, from −1 to 1."""
    chosen = operations(amounts, most)
    number = (which * len(chosen)).astype(np.int64)
    for k, operation in enumerate(chosen):
        operation(np.where(number == k, strength, 0.0))
