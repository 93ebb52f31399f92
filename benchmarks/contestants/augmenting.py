"""Augmentation alone: images flipped, turned, shifted and zoomed, batch by batch, as each library's users do it.

Draws are part of it. What comes out are images, uint8 or float32; nothing learns from them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.cases import Case
from benchmarks.worker import Prepared
from firstlight import processes

DEGREES, SHIFT, ZOOM, FLIP = 15, 0.1, 0.1, 0.5
# The same for ours.
TABLE = {"rotate": DEGREES, "shift": SHIFT, "zoom": ZOOM, "flip_horizontal": FLIP}


def prepare(case: Case, pipeline: str) -> Prepared:
    """A pipeline by its name, warm: each repeat makes all images of the case again."""
    repeat = PIPELINES[pipeline](case)
    repeat(1)
    return Prepared(0, repeat, {})


def ours(case: Case) -> Callable[[int], None]:
    """As both engines do it: draws for the whole epoch, then runs of batches."""
    from firstlight import kernels
    from firstlight.prepare import Augmentation, Augmented, batches, epoch_order
    from firstlight.types import Images

    pixels, labels = case.noise()
    images = Images(pixels, labels, np.arange(len(pixels)).astype(str), tuple("abcdefghij"))
    augmented = Augmented(images, Augmentation.of(TABLE), 0, kernels.load())

    def repeat(times: int) -> None:
        for epoch in range(times):
            order = epoch_order(0, epoch, len(images))
            for _ in augmented.runs(order, epoch, batches(np.arange(len(order)), case.batch)):
                pass

    return repeat


def opencv(case: Case) -> Callable[[int], None]:
    """`warpAffine` for each image, bytes to bytes: one map with all in it, drawn for all images at once."""
    import cv2

    pixels, _ = case.noise()
    _, height, width, _ = pixels.shape
    centre, draw = ((width - 1) / 2, (height - 1) / 2), np.random.default_rng(0)

    def repeat(times: int) -> None:
        for _ in range(times):
            n = len(pixels)
            order = draw.permutation(n)
            angles, scales = draw.uniform(-DEGREES, DEGREES, n), draw.uniform(1 - ZOOM, 1 + ZOOM, n)
            across, down = draw.uniform(-SHIFT, SHIFT, (2, n)) * [[width], [height]]
            flips = draw.random(n) < FLIP
            batch = np.empty((case.batch, height, width), np.uint8)
            for i, k in enumerate(order):
                m = cv2.getRotationMatrix2D(centre, angles[i], scales[i])
                m[0, 2] += across[i]
                m[1, 2] += down[i]
                if flips[i]:
                    m[0] = -m[0]
                    m[0, 2] += width - 1
                cv2.warpAffine(
                    pixels[k], m, (width, height), dst=batch[i % case.batch], borderMode=cv2.BORDER_REPLICATE
                )

    return repeat


def keras_layers(case: Case) -> Callable[[int], None]:
    """Keras's own layers on batches, within tf.data, on all cores."""
    import keras
    import tensorflow as tf

    x, _ = case.floats()
    change = keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomRotation(DEGREES / 360, fill_mode="nearest"),
            keras.layers.RandomTranslation(SHIFT, SHIFT, fill_mode="nearest"),
            keras.layers.RandomZoom((-ZOOM, ZOOM), fill_mode="nearest"),
        ]
    )
    images = tf.data.Dataset.from_tensor_slices(x).shuffle(len(x)).batch(case.batch)
    images = images.map(lambda x: change(x, training=True), num_parallel_calls=processes.cores())
    images = images.prefetch(tf.data.AUTOTUNE)

    def repeat(times: int) -> None:
        for _ in range(times):
            for _ in images:
                pass

    return repeat


def keras_generator(case: Case) -> Callable[[int], None]:
    """`ImageDataGenerator`, which goes image by image, as in many notebooks."""
    from tensorflow.keras.preprocessing.image import ImageDataGenerator

    x, y = case.floats()
    generator = ImageDataGenerator(
        rotation_range=DEGREES,
        width_shift_range=SHIFT,
        height_shift_range=SHIFT,
        zoom_range=ZOOM,
        horizontal_flip=True,
    )
    batches: Any = generator.flow(x, y, batch_size=case.batch)

    def repeat(times: int) -> None:
        for _ in range(times):
            for step in range(len(batches)):
                batches[step]
            batches.on_epoch_end()

    return repeat


PIPELINES = {"ours": ours, "opencv": opencv, "keras-layers": keras_layers, "keras-generator": keras_generator}
