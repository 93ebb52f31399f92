"""Images that each augmentation makes in a second, and what mixing costs a training step: docs/guide/augmentation.md.

    python -m benchmarks.augmentations [--images 4096] [--rounds 5] [--threads 1]

Images are noise: what is done to them does not depend on what they show. Each kind makes an epoch of them in batches of
32, as training does, in turns with all others; the medians of the rounds are told, and the quickest and the slowest.
Shuffling, draws and labels are included. Steps are of mlp-128 and lenet5, in images per second of training alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numba
import numpy as np

from firstlight import data, kernels, models
from firstlight.engines import Task
from firstlight.engines.numpy import NumpyEngine
from firstlight.losses import CrossEntropy
from firstlight.optimizers import Adam
from firstlight.prepare import Augmentation, Augmented, Preparation, batches, epoch_order
from firstlight.types import Images

BATCH = 32
TODAY = {
    "flip_horizontal": 0.5,
    "rotate": 15,
    "shift": 0.1,
    "zoom": 0.1,
    "contrast": 0.2,
    "noise": 0.05,
    "cutout": 0.25,
}
KINDS: Mapping[str, dict[str, Any]] = {
    "flip_horizontal = 0.5": {"flip_horizontal": 0.5},
    "rotate = 15": {"rotate": 15},
    "contrast = 0.2": {"contrast": 0.2},
    "noise = 0.05": {"noise": 0.05},
    "cutout = 0.25": {"cutout": 0.25},
    "seven of the first kinds": TODAY,
    "elastic = 0.03": {"elastic": 0.03},
    "blur = 1": {"blur": 1},
    "blur = 2": {"blur": 2},
    "hue = 0.1": {"hue": 0.1},
    "hue and saturation": {"hue": 0.1, "saturation": 0.4},
    "rand_augment = 5": {"rand_augment": 5},
    "trivial_augment = true": {"trivial_augment": True},
    "mixup = 0.2": {"mixup": 0.2},
    "cutmix = 1.0": {"cutmix": 1.0},
    "mixup = 0.2 and the seven": {**TODAY, "mixup": 0.2},
}
SHAPES = ((28, 28, 1), (32, 32, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    numba.set_num_threads(asked.threads)
    for shape in SHAPES:
        images = noise(asked.images, shape)
        grey = shape[2] == 1
        tables = {name: table for name, table in KINDS.items() if not (grey and {"hue", "saturation"} & table.keys())}
        print(
            f"\n{'×'.join(map(str, shape))}, {asked.threads} threads, {asked.rounds} rounds: thousand images per second"
        )
        tell({name: making(images, table) for name, table in tables.items()}, asked.images, asked.rounds)
    images = noise(asked.images, SHAPES[0])
    for net in ("mlp-128", "lenet5"):
        print(f"\n{net} on 28×28×1, steps of {BATCH}: thousand images per second")
        found = {name: training(net, images, name) for name in ("labels", "shares")}
        tell(found, asked.images, asked.rounds)


def noise(n: int, shape: tuple[int, int, int]) -> Images:
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (n, *shape), np.uint8)
    return Images(
        pixels, draw.integers(0, 10, n), np.arange(n).astype(str), data.load("digits").splits["train"].class_names
    )


def making(images: Images, table: dict[str, Any]) -> Callable[[int], None]:
    """Makes the images of an epoch."""
    augmented = Augmented(images, Augmentation.of(table), 0, kernels.load())

    def epoch(number: int) -> None:
        order = epoch_order(0, number, len(images))
        for _ in augmented.runs(order, number, batches(np.arange(len(order)), BATCH)):
            pass

    return epoch


def training(net: str, images: Images, targets: str) -> Callable[[int], None]:
    """Trains an epoch, by labels or by shares of classes; images are made again, and barely altered."""
    model = models.build(net, images.shape, 10, {})
    table = {"noise": {"range": 0.05, "p": 1e-6}} if targets == "labels" else {"mixup": {"p": 1e-6}}
    task = Task(model, CrossEntropy(), Preparation.fit(images), Adam(), augmentation=Augmentation.of(table))
    session = NumpyEngine().session(task, images)
    rates = np.full(-(-len(images) // BATCH), 1e-3)

    def epoch(number: int) -> None:
        session.train_epoch(number, BATCH, rates, lambda images, loss: None)

    return epoch


def tell(work: Mapping[str, Callable[[int], None]], images: int, rounds: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for number in range(rounds + 1):
        for name, epoch in work.items():
            began = time.perf_counter()
            epoch(number)
            if number:  # the first compiles
                seconds[name].append(time.perf_counter() - began)
    for name, taken in seconds.items():
        middle, low, high = (images / s / 1000 for s in (statistics.median(taken), max(taken), min(taken)))
        print(f"| `{name}` | {middle:,.0f} | {low:,.0f} to {high:,.0f} |")


if __name__ == "__main__":
    main()
