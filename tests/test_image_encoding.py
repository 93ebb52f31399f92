"""Images as files, and many of them on one sheet."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from firstlight.image_encoding import (
    STORED,
    compact_uri,
    data_uri,
    enlarged_png,
    png,
    resized_png,
    shown_size,
    small_png,
    small_uri,
    tiled,
)


def _decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_holds_the_pixels(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    assert np.array_equal(_decoded(png(pixels)).reshape(pixels.shape), pixels)
    assert np.array_equal(_decoded(small_png(pixels)).reshape(pixels.shape), pixels)
    assert np.array_equal(_decoded(enlarged_png(pixels, 15)).reshape(10, 14, channels)[::2, ::2], pixels)
    assert _decoded(resized_png(pixels, 9, 4)).shape[:2] == (4, 9)
    head, _, text = data_uri(png(pixels)).partition(",")
    assert (head, base64.b64decode(text)) == ("data:image/png;base64", png(pixels))


def test_large_images_are_stored_small() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 100, 3), np.uint8)
    assert _decoded(small_png(pixels)).shape == (80, 40, 3)
    assert compact_uri(pixels).startswith("data:image/jpeg;base64,")
    assert compact_uri(pixels[:, :, :1]).startswith("data:image/png;base64,")


def test_a_sheet_has_its_images_row_by_row() -> None:
    pixels = np.random.default_rng(0).integers(1, 256, (5, 2, 3, 1), np.uint8)
    sheet = tiled(pixels, 2)
    assert sheet.shape == (6, 6, 1)
    for i in range(5):
        top, left = i // 2 * 2, i % 2 * 3
        assert np.array_equal(sheet[top : top + 2, left : left + 3], pixels[i])
    assert not sheet[4:, 3:].any()
    assert tiled(pixels, 2, 4).shape == (8, 6, 1)


@pytest.mark.parametrize(
    ("shape", "stored", "shown"),
    [
        ((8, 8, 1), (8, 8), (112, 112)),
        ((28, 28, 1), (28, 28), (112, 112)),
        ((32, 32, 3), (32, 32), (96, 96)),
        ((200, 100, 3), (40, 80), (56, 112)),
    ],
)
def test_images_are_stored_small_and_shown_by_whole_factors(
    shape: tuple[int, int, int], stored: tuple[int, int], shown: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    image = Image.open(io.BytesIO(base64.b64decode(small_uri(pixels).partition(",")[2])))
    assert image.size == stored
    assert shown_size(pixels) == shown
    if max(shape) <= STORED:
        np.testing.assert_array_equal(np.asarray(image).reshape(shape), pixels)
