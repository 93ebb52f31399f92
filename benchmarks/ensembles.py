"""What the mean of several nets' probabilities gains on images that the nets have not seen, and what it costs.

    python -m benchmarks.ensembles [--seeds 5] [--epochs 5] [--out FOLDER]

Nets of Fashion-MNIST, whose test images are the publisher’s and so the same for each seed.
Then the time an image of one net and of all of them, in turns. Prints tables in Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console

import firstlight as fl
from firstlight.records.group import of_study
from firstlight.records.study_folder import StudyFolder
from firstlight.report.sections import ensemble
from firstlight.types import Array

MODELS = ("mlp-128", "lenet5", "slim-cnn")
ROUNDS, IMAGES = 9, 2048
STUDY = """\
title = "Ensembles"
seeds = {seeds}
[defaults.data]
source = "fashion-mnist"
[defaults.training]
epochs = {epochs}
"""


def study(out: Path, seeds: int, epochs: int) -> StudyFolder:
    """The nets, trained where they are not there yet."""
    file = out / "ensembles.toml"
    out.mkdir(parents=True, exist_ok=True)
    runs = "".join(f'[[run]]\nname = "{name}"\nmodel.name = "{name}"\n' for name in MODELS)
    file.write_text(STUDY.format(seeds=seeds, epochs=epochs) + runs)
    return fl.run_study(file, out=out / "study", console=Console(quiet=True))


def gains(folder: StudyFolder) -> None:
    print("| recipe | nets | one net, mean | together (95 %) | less the best by validation, points (95 %) | p, Holm |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    found = ensemble.numbers(of_study(folder)).found
    for one in found:
        (low, high), (less, more) = one.together.accuracy_interval, one.against.interval
        print(
            f"| {one.name} | {one.nets} | {100 * one.accuracy:.2f} | {100 * one.together.accuracy:.2f} "
            f"({100 * low:.2f}–{100 * high:.2f}) | {100 * one.against.difference:+.2f} ({100 * less:+.2f} to "
            f"{100 * more:+.2f}) | {one.p:.4f} |"
        )
    print("\n| recipe | −log p, one net | together | calibration error, one net | together |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for one in found:
        print(
            f"| {one.name} | {one.likelihood:.4f} | {one.together.loss:.4f} | {one.calibration_error:.4f} | "
            f"{one.together.calibration_error:.4f} |"
        )


def costs(folder: StudyFolder) -> None:
    print(f"\n| recipe | µs an image, one net | all nets | times | n = {ROUNDS}, in turns, median (least to most) |")
    print("| --- | ---: | ---: | ---: | --- |")
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 28, 28, 1), np.uint8)
    for entry in folder.entries:
        together = fl.Ensemble(folder.path / entry.name)
        asked = (together.runs[0], together)
        for each in asked:
            each.predict(pixels)
        rounds = np.array([[seconds(each, pixels) for each in asked] for _ in range(ROUNDS)]) / IMAGES * 1e6
        one, all_ = np.median(rounds, axis=0)
        low, high = rounds.min(axis=0), rounds.max(axis=0)
        spread = f"{low[0]:.1f} to {high[0]:.1f}; {low[1]:.1f} to {high[1]:.1f}"
        print(f"| {entry.name}, {len(together)} nets | {one:.1f} | {all_:.1f} | {all_ / one:.1f} | {spread} |")


def seconds(asked: fl.Run | fl.Ensemble, pixels: Array) -> float:
    began = time.perf_counter()
    asked.predict(pixels)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", type=Path, help="where the nets are kept; nowhere otherwise")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = study(asked.out or Path(place), asked.seeds, asked.epochs)
        gains(folder)
        costs(folder)


if __name__ == "__main__":
    main()
