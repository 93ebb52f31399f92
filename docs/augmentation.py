"""Makes the pictures of docs/guide/augmentation.md: each augmentation on the same images, and images that are mixed.

    FIRSTLIGHT_DATA=... .venv/bin/python docs/augmentation.py

It takes CIFAR-10's training images, which have to be at hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from firstlight import data, kernels
from firstlight.data.contact_sheet import draw, scaled, svg_text
from firstlight.image_encoding import encoded
from firstlight.prepare import Augmentation, Augmented
from firstlight.types import Images, MixedImages

HERE = Path(__file__).absolute().parent / "images"
SIDE, GAP, MARGIN, LEFT = 96, 8, 16, 250
SHOWN, DRAWS = (4, 7, 26), 3  # training images, and epochs of each
KINDS: dict[str, Any] = {
    "crop": 0.6,
    "flip_horizontal": 0.5,
    "zoom": 0.4,
    "shear": 25,
    "rotate": 25,
    "shift": 0.2,
    "elastic": 0.05,
    "blur": 2,
    "hue": 0.2,
    "saturation": 0.8,
    "contrast": 0.5,
    "brightness": 0.3,
    "noise": 0.08,
    "cutout": 0.4,
    "rand_augment": 5,
    "trivial_augment": True,
}
MIXED: dict[str, dict[str, Any]] = {"mixup = 1.0": {"mixup": 1.0}, "cutmix = 1.0": {"cutmix": 1.0}}


def main() -> None:
    train = data.load("cifar-10").splits["train"].take(np.arange(1000))
    (HERE / "augmentation.png").write_bytes(kinds(train))
    (HERE / "augmentation-mixing.png").write_bytes(mixing(train))
    print(HERE / "augmentation.png", HERE / "augmentation-mixing.png")


def kinds(train: Images) -> bytes:
    """A row for each kind: three images, each as it is drawn in three epochs."""
    chosen, texts, pictures = np.array(SHOWN), [], []
    step = SIDE + GAP
    for row, (name, value) in enumerate({"original": None, **KINDS}.items()):
        top = MARGIN + row * step
        said = name if value is None else f"{name} = {str(value).lower()}"
        texts.append(svg_text(MARGIN, top + SIDE // 2 + 5, said, 17))
        table = {} if value is None else {name: value}
        augmented = Augmented(train, Augmentation.of(table), 0, kernels.load())
        for epoch in range(DRAWS if table else 1):
            for k, pixels in enumerate(augmented.batch(chosen, epoch).pixels):
                pictures.append((pixels, LEFT + (k * DRAWS + epoch) * step + k * 2 * GAP, top))
    width = LEFT + len(SHOWN) * (DRAWS * step + 2 * GAP) - 3 * GAP + MARGIN
    paper = draw(texts, width, MARGIN + (len(KINDS) + 1) * step - GAP + MARGIN)
    for pixels, left, top in pictures:
        paper.paste(scaled(pixels, SIDE, SIDE), (left, top))
    return encoded(paper)


def mixing(train: Images) -> bytes:
    """A row for each way of mixing, each image with the shares of its classes below."""
    texts, pictures = [], []
    step, tall, left = SIDE + 5 * GAP, SIDE + 50, LEFT - 90
    for row, (said, table) in enumerate(MIXED.items()):
        top = MARGIN + row * tall
        texts.append(svg_text(MARGIN, top + SIDE // 2 + 5, said, 17))
        found = Augmented(train, Augmentation.of(table), 0, kernels.load()).batch(np.arange(3, 10), 2)
        assert isinstance(found, MixedImages)
        for k, (pixels, shares) in enumerate(zip(found.pixels, found.targets, strict=True)):
            pictures.append((pixels, left + k * step, top))
            classes = [c for c in np.argsort(-shares) if shares[c] > 0]
            for line, c in enumerate(classes):
                text = f"{shares[c]:.0%} {train.class_names[c]}"
                texts.append(svg_text(left + k * step, top + SIDE + 18 + 17 * line, text, 13))
    paper = draw(texts, left + len(pictures) // len(MIXED) * step, MARGIN + len(MIXED) * tall)
    for pixels, place, top in pictures:
        paper.paste(scaled(pixels, SIDE, SIDE), (place, top))
    return encoded(paper)


if __name__ == "__main__":
    main()
