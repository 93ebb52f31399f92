"""The accuracies that the ground floor must reach on the published sets, and how long each run takes.

    FIRSTLIGHT_DATA=… python -m benchmarks.accuracy [--seeds 1] [--only NAME] [--out runs/accuracy]

One run after the other, nothing beside them; prints a table in Markdown. Finished runs are not repeated.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from rich.console import Console

import firstlight as fl

MLP_MNIST = {
    "data": {"source": "mnist"},
    "optimizer": {"name": "sgd", "lr": 0.01},
    "training": {"epochs": 15, "batch_size": 64},
}

# name: (experiment, least and greatest test accuracy)
RUNS: dict[str, tuple[dict[str, Any], tuple[float, float]]] = {
    "fashion-mlp-128-64": (
        {
            "data": {"source": "fashion-mnist"},
            "model": {"name": "mlp-128-64"},
            "training": {"epochs": 20, "batch_size": 128},
        },
        (0.878, 1.0),
    ),
    "fashion-lenet5": ({"data": {"source": "fashion-mnist"}, "model": {"name": "lenet5"}}, (0.893, 1.0)),
    "fashion-lenet5-batchnorm": (
        {
            "data": {"source": "fashion-mnist"},
            "model": {"name": "lenet5-batchnorm"},
            "training": {"epochs": 15},
        },
        (0.900, 1.0),
    ),
    "mnist-mlp-relu": ({**MLP_MNIST, "model": {"name": "mlp-500-250-100", "activation": "relu"}}, (0.965, 1.0)),
    "mnist-mlp-tanh": ({**MLP_MNIST, "model": {"name": "mlp-500-250-100", "activation": "tanh"}}, (0.950, 1.0)),
    "mnist-mlp-sigmoid": ({**MLP_MNIST, "model": {"name": "mlp-500-250-100", "activation": "sigmoid"}}, (0.70, 0.90)),
    "mnist-cnn": (
        {"data": {"source": "mnist"}, "model": {"name": "mnist-cnn"}, "training": {"epochs": 2}},
        (0.970, 1.0),
    ),
}


def main() -> None:
    """Do what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", choices=RUNS, nargs="*", default=list(RUNS))
    parser.add_argument("--out", type=Path, default=Path("runs/accuracy"))
    options = parser.parse_args()
    print("| run | asked | test accuracy | n | best epoch | training s | s an epoch |")
    print("|---|---|---|---|---|---|---|")
    for name in options.only:
        tables, (least, most) = RUNS[name]
        results = [_result(tables | {"seed": seed}, options.out / f"{name}-{seed}") for seed in range(options.seeds)]
        accuracies = [result["test"]["accuracy"] for result in results]
        seconds = [result["seconds"]["train"] for result in results]
        spread = f" ± {statistics.stdev(accuracies):.4f}" if len(results) > 1 else ""
        asked = f"≥ {least:.3f}" if most == 1 else f"{least:.2f}–{most:.2f}"
        reached = "" if all(least <= accuracy <= most for accuracy in accuracies) else " (missed)"
        print(
            f"| {name} | {asked} | {statistics.mean(accuracies):.4f}{spread}{reached} | {len(results)} "
            f"| {', '.join(str(result['epochs']['best']) for result in results)} | {statistics.median(seconds):.0f} "
            f"| {statistics.median(seconds) / results[0]['epochs']['run']:.2f} |",
            flush=True,
        )


def _result(tables: dict[str, Any], out: Path) -> dict[str, Any]:
    run = fl.open_run(out) if (out / "result.json").exists() else fl.run(tables, out=out, console=Console(quiet=True))
    return run.result


if __name__ == "__main__":
    main()
