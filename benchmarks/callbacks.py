"""What `on_step` costs: an epoch of LeNet-5 with a function that looks on at each step and without, in turns.

    python -m benchmarks.callbacks [numpy|torch] [--turns 9]

Prints the median microseconds that a step takes longer, of so many pairs of epochs, and the quartiles; a function that
does nothing, and one that reads every field.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console

from firstlight import data, experiments
from firstlight.console import TrainingProgress
from firstlight.experiments import Experiment
from firstlight.experiments.paths import IN_MEMORY
from firstlight.training import STOP, Callbacks, StepProgress, TrainingConfig, train
from firstlight.types import Array, Dataset, Images

IMAGES, BATCH = 6400, 32


def main() -> None:
    """Measure one engine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("engine", choices=("numpy", "torch"), nargs="?", default="numpy")
    parser.add_argument("--turns", type=int, default=9)
    asked = parser.parse_args()
    epoch = _epoch(asked.engine)
    functions: dict[str, Callable[[StepProgress], Any]] = {
        "does nothing": lambda progress: None,
        "reads every number": lambda p: None if p.epoch + p.step + p.images + p.loss + p.learning_rate > 0 else STOP,
    }
    epoch(None)
    for name, function in functions.items():
        pairs = [(epoch(None), epoch(function)) for _ in range(asked.turns)]
        steps = IMAGES // BATCH
        more = [1e6 * (watched - plain) / steps for plain, watched in pairs]
        plain = 1e6 * statistics.median(plain for plain, _ in pairs) / steps
        low, middle, high = statistics.quantiles(more, n=4)
        print(
            f"{asked.engine}, {name}: {middle:.1f} µs a step more ({low:.1f} to {high:.1f}, n = {asked.turns}), "
            f"{100 * middle / plain:.2f} % of {plain:.0f} µs"
        )


def _epoch(engine: str) -> Callable[[Callable[[StepProgress], Any] | None], float]:
    """A function that trains an epoch and gives its seconds."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 10, IMAGES)
    pixels = draw.integers(0, 256, (IMAGES, 28, 28, 1)).astype(np.uint8)
    images = Images(pixels, labels, np.arange(IMAGES).astype(str), tuple("abcdefghij"))
    experiment = Experiment.of(
        {
            "engine": engine,
            "data": {"source": f"{IN_MEMORY}noise"},
            "model": {"name": "lenet5"},
            "training": {"epochs": 1, "batch_size": BATCH},
        }
    )
    splits = data.split(Dataset("noise", {"train": images}), validation=0.0, test=0.0, seed=0)
    setup = experiments.set_up(experiment, Dataset("noise", {"train": images}), splits, look=False)
    session = setup.engine.session(setup.task, setup.train)
    session.warm_up(BATCH, 1)
    start: Array = session.vector()
    config = TrainingConfig(epochs=1, batch_size=BATCH, schedule=experiment.build_schedule(), lr=1e-3)

    def run(on_step: Callable[[StepProgress], Any] | None) -> float:
        session.restore(start)
        watcher = TrainingProgress(Console(quiet=True))
        began = time.perf_counter()
        train(
            session,
            setup.task.loss,
            config,
            setup.train,
            None,
            penalty=lambda vector: 0.0,
            watcher=watcher,
            save=lambda checkpoint: None,
            callbacks=Callbacks(on_step=on_step),
        )
        return time.perf_counter() - began

    return run


if __name__ == "__main__":
    main()
