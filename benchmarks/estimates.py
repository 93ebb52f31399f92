"""How near the time and the memory that are told before a run come to what it takes, over a dozen kinds of runs.

    python -m benchmarks.estimates [--rounds 3] [--quick]

Each run is a process of its own, on images of noise, with validation and test. Told over actual: 1 is right, 2 is told
twice as long. Where the machine has other work meanwhile, a few steps tell little of the minutes after them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from typing import Any

CASES: tuple[dict[str, Any], ...] = tuple(
    {"engine": engine, **case}
    for engine in ("numpy", "torch")
    for case in (
        {"model": "softmax-regression", "shape": (28, 28, 1), "images": 20_000, "epochs": 5},
        {"model": "mlp-128", "shape": (8, 8, 1), "images": 5_000, "epochs": 30},
        {"model": "lenet5", "shape": (28, 28, 1), "images": 10_000, "epochs": 3},
        {"model": "fashion-cnn", "shape": (28, 28, 1), "images": 4_000, "epochs": 2},
        {"model": "lenet5", "shape": (32, 32, 3), "images": 8_000, "epochs": 3, "augment.shift": 0.1},
        {"model": "resnet20", "shape": (32, 32, 3), "images": 2_000, "epochs": 1},
    )
)
_RUN = """
import json, sys, tempfile
from pathlib import Path
import numpy as np
from rich.console import Console
import firstlight as fl
case = json.loads(sys.argv[1])
draw = np.random.default_rng(0)
pixels = draw.integers(0, 256, (case.pop("images"), *case.pop("shape")), np.uint8)
labels = np.arange(len(pixels)) % 10
model, epochs = case.pop("model"), case.pop("epochs")
settings = {"device": "cpu", "data.near_copies": "warn", **case}
with tempfile.TemporaryDirectory() as folder:
    run = fl.fit(model, (pixels, labels), epochs=epochs, settings=settings, out=Path(folder) / "run",
                 console=Console(quiet=True))
    found = run.folder.result.estimate
print(json.dumps([found.told.seconds, found.took.seconds, found.told.memory, found.took.memory]))
"""


def measured(case: dict[str, Any]) -> tuple[float, float, float, float]:
    """Seconds told and taken, and bytes told and taken, of one run."""
    said = subprocess.run([sys.executable, "-c", _RUN, json.dumps(case)], capture_output=True, text=True, check=True)
    told, took, memory, used = json.loads(said.stdout.splitlines()[-1])
    return told, took, memory, used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", nargs="+", default=["numpy", "torch"])
    parser.add_argument("--quick", action="store_true", help="a tenth of the images: only tries whether it works")
    asked = parser.parse_args()
    print(f"{os.cpu_count()} cores, {asked.rounds} rounds, load {os.getloadavg()[0]:.1f}\n")
    print("| engine | model | images | epochs | told, s | took, s | told/took | told, MB | took, MB | told/took |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    times, memories = [], []
    for case in (case for case in CASES if case["engine"] in asked.engines):
        case = {**case, "images": case["images"] // (10 if asked.quick else 1)}
        rounds = [measured(case) for _ in range(asked.rounds)]
        times += [told / took for told, took, _, _ in rounds]
        memories += [told / took for _, _, told, took in rounds if took]
        told, took, memory, used = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(
            f"| {case['engine']} | {case['model']} | {case['images']:,} | {case['epochs']} | {told:.1f} | {took:.1f} "
            f"| {told / took:.2f} | {memory / 1e6:.0f} | {used / 1e6:.0f} | {memory / used if used else 0:.2f} |",
            flush=True,
        )
    for what, ratios in (("time", times), ("memory", memories)):
        ratios.sort()
        middle = statistics.median(ratios)
        print(f"{what}: told/took {middle:.2f} in the middle, {ratios[0]:.2f} to {ratios[-1]:.2f}, n = {len(ratios)}")


if __name__ == "__main__":
    main()
