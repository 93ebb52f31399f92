"""A small CNN that has learnt ten digits tells even from odd: with one new unit alone, then with all of it.

    FIRSTLIGHT_DATA=… python -m benchmarks.transfer [--engine numpy torch] [--seeds 1] [--out runs/transfer]

Three runs on each engine (`ten`, `frozen`, `tuned`), one after the other, and their comparison as a page; prints a
table in Markdown. Finished runs are not repeated.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

import firstlight as fl
from firstlight import report

TEN = {
    "data": {"source": "mnist"},
    "model": {"name": "mnist-cnn"},
    "schedule": {"name": "cosine"},
    "training": {"epochs": 10},
}
TWO = {
    "data": {
        "source": "mnist",
        "regroup": {"even": ["0", "2", "4", "6", "8"], "odd": ["1", "3", "5", "7", "9"]},
    },
    "model": {"name": "mnist-cnn", "outputs": 1},
    "loss": {"name": "binary-cross-entropy"},
}
LEAST = {"ten": 0.98, "frozen": 0.95, "tuned": 0.99}


def experiments(folder: Path) -> dict[str, dict[str, Any]]:
    """The three, each of which starts from the weights of the one before."""
    frozen = {"init_from": str(folder / "ten"), "fresh": ["head"], "freeze": ["*", "!head"]}
    tuned = {"init_from": str(folder / "frozen")}
    return {
        "ten": TEN,
        "frozen": {**TWO, "weights": frozen, "training": {"epochs": 3}},
        # a tenth of Adam's usual rate, and of that of the runs before
        "tuned": {**TWO, "weights": tuned, "optimizer": {"lr": 1e-4}, "training": {"epochs": 10}},
    }


def main() -> None:
    """Do what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", nargs="*", default=["numpy", "torch"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/transfer"))
    options = parser.parse_args()
    print("| engine | seed | run | asked | test accuracy | trained | parameters | epochs | training s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for engine in options.engine:
        for seed in range(options.seeds):
            folder = options.out / f"{engine}-{seed}"
            runs = []
            for name, tables in experiments(folder).items():
                runs.append(_done({**tables, "engine": engine, "seed": seed}, folder / name))
                result = runs[-1].result
                parameters, accuracy = result["parameters"], result["test"]["accuracy"]
                print(
                    f"| {engine} | {seed} | {name} | ≥ {LEAST[name]:.2f} "
                    f"| {accuracy:.4f}{'' if accuracy >= LEAST[name] else ' (missed)'} "
                    f"| {parameters['trainable']:,} | {parameters['total']:,} | {result['epochs']['run']} "
                    f"| {result['seconds']['train']:.0f} |",
                    flush=True,
                )
            title = "Even or odd: one new unit, then all of it"
            print(report.write(report.Comparison([run.folder for run in runs[1:]], title), folder / "comparison.html"))


def _done(tables: dict[str, Any], out: Path) -> fl.Run:
    done = (out / "result.json").exists()
    run = fl.open_run(out) if done else fl.run(tables, out=out, console=Console(quiet=True))
    if not done:
        run.report()
    return run


if __name__ == "__main__":
    main()
