"""Images in pages, and sheets of images."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from firstlight.image_encoding import STORED, shown_size, small_uri, sprite


def test_a_sprite_holds_every_image() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (501, 8, 8, 1), dtype=np.uint8)
    sheet = sprite(pixels)
    assert sheet["columns"] == 200
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet["source"].split(",")[1]))))
    for n in (0, 199, 200, 500):
        top, left = 8 * (n // 200), 8 * (n % 200)
        np.testing.assert_array_equal(image[top : top + 8, left : left + 8], pixels[n, :, :, 0])
    noise = np.random.default_rng(0).integers(0, 256, (2000, 32, 32, 3), dtype=np.uint8)
    assert sprite(noise)["source"].startswith("data:image/jpeg;base64,")


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
