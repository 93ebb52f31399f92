"""Sheets of images."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from firstlight.image_encoding import sprite


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
