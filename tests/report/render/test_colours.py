"""Colours of values."""

from __future__ import annotations

import numpy as np
from tests.report.explanations import real

from firstlight.report.render import colours


def test_colours_run_from_end_to_end_and_bear_what_is_no_number() -> None:
    ends = [list(bytes.fromhex(name)) for name in (colours.VIRIDIS[0], colours.VIRIDIS[-1])]
    assert colours.amounts(real([[0, 5, 9, np.nan, -1]]), 5)[0].tolist() == [
        ends[0],
        ends[1],
        ends[1],
        ends[0],
        ends[0],
    ]
    middle = list(bytes.fromhex(colours.SIGNED[3]))
    assert colours.signed(real([[-2, 0, np.inf]]), 0)[0, 1].tolist() == middle
    low, high = (list(bytes.fromhex(colours.SIGNED[n])) for n in (0, -1))
    assert colours.signed(real([[-2, 2]]), 2)[0].tolist() == [low, high]


def test_heat_lies_over_the_image() -> None:
    pixels = np.full((1, 2, 3), 100, np.uint8)
    seen = colours.over(pixels, real([[0, 3]]))
    assert seen[0, 0].tolist() == [100, 100, 100]
    assert seen[0, 1, 0] > 200 > seen[0, 1, 2]
    np.testing.assert_array_equal(colours.over(pixels, np.zeros((1, 2), np.float32)), pixels)
