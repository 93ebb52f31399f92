"""How fast `firstlight predict RUN FOLDER --out TABLE` goes through small images, and in how much memory.

    python -m benchmarks.predict_table [--images 20000] [--rounds 5]

PNG files of the digits of scikit-learn, enlarged to 28×28 in grey and to 32×32 in colour, which compress as drawings
and photographs do; the net is lenet5. Each command is a process of its own, in turns with the same one on a single
image: what that takes is the start of Python and of the net. The goal is 2,000 images a second on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

import firstlight as fl
from firstlight.types import Dataset, Images

LAUNCH = Path(__file__).with_name("launch.py")
SHAPES = {"28×28 grey": (28, 28, 1), "32×32 colour": (32, 32, 3)}
ENDINGS = ("csv", "jsonl", "parquet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    print(f"{os.cpu_count()} cores, {asked.images:,} images, {asked.rounds} rounds, load {os.getloadavg()[0]:.1f}\n")
    print(
        "| images | table | images/s with start | images/s after start | start, s | peak memory, MB | of a tenth, MB |"
    )
    print("|---|---|--:|--:|--:|--:|--:|")
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
    """Cells of the table: medians over the rounds, with the least and the most."""
    one = next(iter(few.iterdir()))
    times, starts, memory, memory_few = [], [], 0.0, 0.0
    for _ in range(rounds):
        start, _ = predict(root, one, ending)
        seconds, peak = predict(root, many, ending)
        _, peak_few = predict(root, few, ending)
        times.append(seconds)
        starts.append(start)
        memory, memory_few = max(memory, peak), max(memory_few, peak_few)
    start = statistics.median(starts)
    rates = [count / seconds for seconds in times]
    after = count / (statistics.median(times) - start)
    spread = f"{statistics.median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f})"
    return f"{spread} | {after:,.0f} | {start:.2f} | {memory:.0f} | {memory_few:.0f}"


def predict(root: Path, images: Path, ending: str) -> tuple[float, float]:
    """Seconds of the whole command, and its peak memory in MB."""
    command = [sys.executable, "-m", "firstlight", "predict", root / "run", images, "--out", root / f"t.{ending}"]
    launched = [sys.executable, "-I", "-S", str(LAUNCH), *map(str, command)]
    done = json.loads(subprocess.run(launched, capture_output=True, text=True, check=True).stdout)
    if done["code"]:
        raise SystemExit(f"The command ended with {done['code']}.")
    return done["seconds"], done["memory"] / 1e6


if __name__ == "__main__":
    main()
