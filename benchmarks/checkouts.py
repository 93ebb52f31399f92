"""Two versions of the engine in turns: `python -m benchmarks.checkouts OTHER/src [net ...] [--rounds 5]`.

Each turn is a process of its own with the one version or the other, A B A B: the median of its steps of training at
the net's batch size, and of its predictions of one image alone. What is told is the median over the turns, with half
the range of the middle half as the spread. To see what a change of the kernels costs, unpack the version before it
(`git archive COMMIT src | tar -x -C OTHER`) and run this on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parents[1] / "src"
BATCHES = {"lenet5": 32, "vgg-small": 64, "mlp-500-250-100": 64, "resnet20": 64, "two-layer": 32}
SECONDS = 1.0  # of each kind in a turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the folder src of the version to stand beside this one")
    parser.add_argument("nets", nargs="*", default=["lenet5", "vgg-small", "mlp-500-250-100"])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for net in options.nets:
        found: dict[str, dict[str, list[float]]] = {}
        for turn in range(options.rounds + 1):
            for version, source in (("other", options.other), ("this", HERE)):
                run = subprocess.run(
                    [sys.executable, __file__, "--turn", net],
                    env={**os.environ, "PYTHONPATH": str(source.resolve())},
                    stdout=subprocess.PIPE,
                    check=True,
                )
                for what, milliseconds in json.loads(run.stdout).items():
                    if turn:  # the first one of each compiles
                        found.setdefault(what, {}).setdefault(version, []).append(milliseconds)
        for what, times in found.items():
            each = {version: np.percentile(values, (25, 50, 75)) for version, values in times.items()}
            told = ", ".join(f"{version} {m:.3f} ± {(b - a) / 2:.3f} ms" for version, (a, m, b) in each.items())
            print(f"{net}, {what}: {told}: x {each['other'][1] / each['this'][1]:.3f}", flush=True)


def turn(name: str) -> dict[str, float]:
    """Median milliseconds of a step of training, and of one image in evaluation."""
    from firstlight import models
    from firstlight.engines import Task
    from firstlight.engines.numpy import NumpyEngine
    from firstlight.losses import CrossEntropy
    from firstlight.optimizers import Adam
    from firstlight.prepare import Preparation
    from firstlight.types import Images

    shape, classes = models.default_shape(name)
    rng, batch = np.random.default_rng(0), BATCHES.get(name, 32)
    pixels = rng.integers(0, 256, (512, *shape), np.uint8)
    labels, ids = rng.integers(0, classes, 512), np.arange(512)
    images = Images(pixels, labels, ids, tuple(map(str, range(classes))))
    task = Task(models.build(name, shape, classes), CrossEntropy(), Preparation.fit(images), Adam(), seed=0)
    session = NumpyEngine().session(task, images)
    session.warm_up(batch, 1)
    index = np.arange(batch)
    one = pixels[:1]
    return {
        f"a step of {batch}": _median(lambda k: session.train_step(index, 0, k, 1e-4)),
        "one image": _median(lambda k: session.outputs(one)),
    }


def _median(work: object) -> float:
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times) < 9:
        start = time.perf_counter()
        work(len(times))  # type: ignore[operator]
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


if __name__ == "__main__":
    if "--turn" in sys.argv:
        print(json.dumps(turn(sys.argv[-1])))
    else:
        main()
