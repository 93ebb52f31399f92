"""The sheet of near copies: as large as its pairs need."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from tests.data.test_near_copies import scenes

from firstlight.data import NearCopies, check
from firstlight.data.copies_sheet import copies_sheet
from firstlight.types import Dataset, Images


@pytest.mark.parametrize("copies", [1, 6])
def test_pairs_of_pictures(copies: int) -> None:
    first = scenes(12)
    pixels = np.concatenate([first, first[:copies, ::-1]])
    ids = np.array([f"a long name of an image, and a longer one {i}" for i in range(len(pixels))])
    made = Dataset("<b>", {"train": Images(pixels, np.arange(len(pixels)) % 2, ids, ("<i>a", "b" * 200))})
    near = NearCopies.of(made)
    found = check(made, near=near).near
    assert found is not None
    sheet = Image.open(io.BytesIO(copies_sheet("<b>", found, near)))
    assert sheet.width == 40 + min(4, copies) * 264
    assert (sheet.height > 300) == (copies > 4)
    left = np.asarray(sheet)[86 : 86 + 64, 20 : 20 + 64]
    assert np.array_equal(left[::2, ::2], first[int(found.pairs[0].samples[0][1].split(" ")[-1])])
