"""How fast `firstlight predict RUN FOLDER --out TABLE` goes through small images, and in how much memory.

    python -m benchmarks.predict_table [--images 20000] [--rounds 5]

PNG files of the digits of scikit-learn, enlarged to 28×28 in grey and to 32×32 in colour, which compress as drawings
and photographs do; the net is lenet5. Each command is a process of its own, in turns with the same one on a single
image: what that takes is the start of Python and of the net. The goal is 2,000 images per second on two cores. Where
the machine has other work, the processor's time tells more than the clock's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

import firstlight as fl
from benchmarks.processes import Finished, firstlight, timed
from firstlight.types import Dataset, Images

SHAPES = {"28×28 grey": (28, 28, 1), "32×32 colour": (32, 32, 3)}
ENDINGS = ("csv", "jsonl", "parquet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    print(f"{os.cpu_count()} cores, {asked.images:,} images, {asked.rounds} rounds, load {os.getloadavg()[0]:.1f}\n")
    titles = (
        "images/s with start",
        "after start",
        "start, s",
        "processor, µs an image",
        "memory, MB",
        "of a tenth, MB",
    )
    print(f"| images | table | {' | '.join(titles)} |\n|---|---|{len(titles) * '--:|'}")
    with tempfile.TemporaryDirectory() as temporary:
        for name, shape in SHAPES.items():
            root = Path(temporary) / f"{shape[2]}"
            few, many = write_images(root, shape, asked.images)
            fl.fit("lenet5", noise(shape), epochs=0, out=root / "run", console=Console(quiet=True))
            for ending in ENDINGS if shape[2] == 1 else ENDINGS[:1]:
                print(f"| {name} | {ending} | {measured(root, few, many, ending, asked.images, asked.rounds)} |")


def write_images(root: Path, shape: tuple[int, int, int], count: int) -> tuple[Path, Path]:
    """Folders of a tenth of so many PNG files, and of all; no two are the same."""
    height, width, channels = shape
    digits = fl.load("digits").splits["train"].pixels[..., 0]
    random = np.random.default_rng(0)
    for folder, number in (("few", count // 10), ("many", count)):
        (root / folder).mkdir(parents=True)
        for k in range(number):
            image = Image.fromarray(digits[k % len(digits)]).resize((width, height), Image.Resampling.BILINEAR)
            pixels = np.asarray(image)
            if channels == 3:
                tint = random.uniform(0.3, 1, 3)
                pixels = (pixels[..., None] * tint + random.integers(0, 20, (height, width, 3))).clip(0, 255)
            else:
                pixels = np.where(pixels > 0, random.integers(0, 20, pixels.shape) * 0.5 + 0.9 * pixels, 0)
            Image.fromarray(pixels.astype(np.uint8)).save(root / folder / f"{k:07d}.png")
    return root / "few", root / "many"


def noise(shape: tuple[int, int, int]) -> Dataset:
    """Images in ten classes; nothing is learnt from them."""
    pixels = np.random.default_rng(0).integers(0, 256, (100, *shape), dtype=np.uint8)
    images = Images(pixels, np.arange(100) % 10, np.arange(100).astype(str), tuple("0123456789"))
    return Dataset("noise", {"train": images})


def measured(root: Path, few: Path, many: Path, ending: str, count: int, rounds: int) -> str:
    """Cells of the table: medians over the rounds; of the first also the least and the most."""
    single = next(iter(few.iterdir()))
    turns = [[predict(root, images, ending) for images in (single, few, many)] for _ in range(rounds)]
    start, _, whole = ([turn[k].seconds for turn in turns] for k in range(3))
    rates = [count / seconds for seconds in whole]
    processor = statistics.median(last.processor - first.processor for first, _, last in turns) / count
    cells = (
        f"{statistics.median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f})",
        f"{count / (statistics.median(whole) - statistics.median(start)):,.0f}",
        f"{statistics.median(start):.2f}",
        f"{1e6 * processor:.0f}",
        *(f"{max(turn[k].memory for turn in turns) / 1e6:.0f}" for k in (2, 1)),
    )
    return " | ".join(cells)


def predict(root: Path, images: Path, ending: str) -> Finished:
    """What the whole command takes."""
    return timed(firstlight("predict", str(root / "run"), str(images), "--out", str(root / f"t.{ending}")))


if __name__ == "__main__":
    main()
