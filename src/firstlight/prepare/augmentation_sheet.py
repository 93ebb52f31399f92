"""A contact sheet of augmentation: some training images of every class, each with what is drawn for it."""

from __future__ import annotations

import numpy as np

from firstlight import kernels
from firstlight.data.contact_sheet import drawn, sheet, shortened
from firstlight.prepare.augmentation import Augmentation
from firstlight.prepare.augmented_images import Augmented
from firstlight.types import Array, Dataset

IMAGES, DRAWS = 2, 5


def augmented_sheet(dataset: Dataset, augmentation: Augmentation, seed: int = 0) -> bytes:
    """Return a PNG: for each class two images, each followed by what training with this seed draws in five epochs."""
    train = dataset.splits["train"]
    augmented = Augmented(train, augmentation, seed, kernels.load())
    rows: list[list[Array]] = []
    for label in range(len(train.class_names)):
        chosen = drawn(train, label, IMAGES, seed)
        epochs = [augmented.batch(chosen, epoch).pixels for epoch in range(DRAWS)]
        rows.append([*np.stack([train.pixels[chosen], *epochs], axis=1)])
    facts = f"Images of each class, and what is drawn for them in the first epochs of training with seed {seed}"
    if augmentation.mixes:
        facts += "; some are mixed with other images, of any class"
    heads = ["original", *(f"epoch {epoch + 1}" for epoch in range(DRAWS))] * IMAGES
    return sheet(f"{shortened(dataset.name)} · train, augmented", facts, train, rows, heads)
