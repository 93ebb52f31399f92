"""Filters as images, in colour where the images are."""

from __future__ import annotations

import numpy as np

from firstlight.records.explanation import Filters
from firstlight.report.document import ImageGrid
from firstlight.report.sections import filters


def test_filters_of_colour_images_are_in_colour() -> None:
    weights = np.zeros((2, 3, 5, 5), np.float32)
    weights[0, 0], weights[1, 2] = 2, -2
    [grid] = filters.blocks(Filters("conv1", weights))
    assert isinstance(grid, ImageGrid)
    assert [picture.pixels[0, 0].tolist() for picture in grid.pictures] == [[255, 128, 128], [128, 128, 0]]
    [grid] = filters.blocks(Filters("conv1", weights[:, :2]))
    assert isinstance(grid, ImageGrid)
    assert [picture.text for picture in grid.pictures] == [
        "0, channel 0",
        "0, channel 1",
        "1, channel 0",
        "1, channel 1",
    ]
