"""The contact sheet of augmentation: originals, and beside each what training draws for it."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from firstlight import kernels
from firstlight.prepare import Augmentation, Augmented
from firstlight.prepare.augmentation_sheet import DRAWS, IMAGES, augmented_sheet
from firstlight.types import Array, Dataset, Images


def things(n: int = 6, classes: tuple[str, ...] = ("a", "b")) -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, (n, 8, 8, 3), np.uint8)
    labels = np.arange(n) % 2
    return Dataset("things", {"train": Images(pixels, labels, np.arange(n).astype(str), classes)})


def sheet(dataset: Dataset, augmentation: Augmentation, seed: int = 0) -> Array:
    with Image.open(io.BytesIO(augmented_sheet(dataset, augmentation, seed))) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def shows(paper: Array, pixels: Array) -> bool:
    """Whether an image, each pixel of it 9×9, is anywhere on the sheet."""
    large = np.repeat(np.repeat(pixels, 9, axis=0), 9, axis=1)
    corners = np.argwhere((paper == large[0, 0]).all(axis=2))
    return any(np.array_equal(paper[i : i + 72, j : j + 72], large) for i, j in corners)


def test_originals_stand_beside_the_draws_of_training() -> None:
    dataset, augmentation = things(2 * IMAGES), Augmentation.of({"flip_vertical": 0.5, "rotate": 20})
    paper, train = sheet(dataset, augmentation, seed=3), dataset.splits["train"]
    augmented = Augmented(train, augmentation, 3, kernels.load())
    index = np.arange(len(train))
    for pixels in (train.pixels, *(augmented.batch(index, epoch).pixels for epoch in range(DRAWS))):
        for image in pixels:
            assert shows(paper, image)
    assert not shows(paper, augmented.batch(index, DRAWS).pixels[0])
    assert not np.array_equal(paper, sheet(dataset, augmentation, seed=4))


def test_a_class_of_one_image_and_one_of_none() -> None:
    for n in (1, 3):
        paper = sheet(things(n, ("a", "b", "nobody")), Augmentation.of({"shift": 0.2}))
        assert paper.shape[1] > 800
