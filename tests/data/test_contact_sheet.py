import io

import numpy as np
import pytest
from PIL import Image
from tests.data.making import pixels

from firstlight.data.contact_sheet import contact_sheet
from firstlight.types import Dataset, Images


def sheet(array, labels, class_names, seed=0):
    ids = np.arange(len(array)).astype(np.str_)
    images = Images(array, np.array(labels, np.int64), ids, class_names)
    with Image.open(io.BytesIO(contact_sheet(Dataset("some", {"train": images}), seed))) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def test_pixels_are_enlarged_whole():
    array = np.zeros((2, 8, 8, 3), np.uint8)
    array[0], array[1] = (255, 0, 0), (0, 0, 255)
    array[0, 3, 3] = (0, 255, 0)
    picture = sheet(array, [0, 1], ("red", "blue"))
    assert (picture == (0, 255, 0)).all(axis=2).sum() == 81  # 8 pixels become 72, so one becomes 9×9
    assert (picture == (255, 0, 0)).all(axis=2).sum() == 72 * 72 - 81
    red, blue = (np.argwhere((picture == colour).all(axis=2)) for colour in ((255, 0, 0), (0, 0, 255)))
    assert red[:, 0].max() < blue[:, 0].min()


def test_at_most_ten_of_a_class_by_seed():
    array = np.full((30, 8, 8, 3), (200, 30, 0), np.uint8)
    assert (sheet(array, [0] * 30, ("red",)) == (200, 30, 0)).all(axis=2).sum() == 10 * 72 * 72
    noise = pixels(30)
    same, other = sheet(noise, [0] * 30, ("a",)), sheet(noise, [0] * 30, ("a",), seed=1)
    np.testing.assert_array_equal(same, sheet(noise, [0] * 30, ("a",)))
    assert (same != other).any()


@pytest.mark.parametrize("shape", [(1, 1, 1), (28, 28, 1), (300, 500, 3), (2, 900, 3)])
def test_sizes(shape):
    picture = sheet(np.zeros((3, *shape), np.uint8), [0, 1, 1], ("a", "a name that goes on and on, and on and on"))
    assert picture.shape[1] < 1800


def test_a_class_without_images():
    assert sheet(pixels(1), [1], ("none", "one")).shape[0] > 100


@pytest.mark.parametrize("name", ["<b> & 'c'", "bell\x07", "Äpfel", "日本", ""])
def test_any_class_name_can_be_drawn(name):
    plain, named = sheet(pixels(1), [0], (" " * len(name),)), sheet(pixels(1), [0], (name,))
    assert plain.shape == named.shape
    assert (plain != named).any() == bool(name)
