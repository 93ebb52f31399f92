"""How long an answer of `fl.step` takes, for LeNet-5 on one image: what a page asks for when something is clicked.

    python -m benchmarks.step [--architecture lenet5] [--images 1] [--turns 15]

Prints for each kind of answer the median milliseconds with the quartiles, its JSON made with it; each is of a step, or
of a place in it, that was not asked for before. Autograd is not among them: PyTorch is loaded for it once.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from firstlight.data import load
from firstlight.layers.container import Container
from firstlight.models import build
from firstlight.training_step import Step, course_of_model
from firstlight.types import Images

GOAL = 100  # milliseconds


def main() -> None:
    """Measure every kind of answer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--architecture", default="lenet5")
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--turns", type=int, default=15)
    asked = parser.parse_args()
    images = load("digits", size=28).splits["train"].take(np.arange(asked.images))
    for name, answers in _answers(asked.architecture, images).items():
        seconds = [_timed(answers) for _ in range(asked.turns + 1)][1:]
        low, middle, high = (1e3 * each for each in statistics.quantiles(seconds, n=4))
        print(
            f"{name}: {middle:.1f} ms ({low:.1f} to {high:.1f}, n = {asked.turns}){'' if high < GOAL else ', too slow'}"
        )


def _timed(answer: Callable[[], Any]) -> float:
    began = time.perf_counter()
    json.dumps(answer())
    return time.perf_counter() - began


def _answers(architecture: str, images: Images) -> dict[str, Callable[[], Any]]:
    draw = np.random.default_rng(0)
    model = build(architecture, images.shape, 10)
    course = course_of_model(model, images)
    start = course.start
    start.to_json()
    # The largest arrays of each kind of layer: the sums with the most terms are theirs.
    layers = [layer for layer in start.layers.values() if not isinstance(layer.layer, Container)]

    def working() -> Any:
        layer = layers[draw.integers(len(layers))]
        of, array = [*layer.arrays.items()][draw.integers(len(layer.arrays))]
        return layer.working(of, tuple(map(int, draw.integers(0, array.shape)))).to_json()

    def weight() -> Any:
        entry = next(entry for entry in model.layout.entries if entry.parameter.trainable)
        step = Step(course, 0, start.vector, start.state)
        return step.weight(entry.name, tuple(map(int, draw.integers(0, entry.parameter.shape)))).to_json(autograd=False)

    def moves(steps: int) -> Callable[[], Any]:
        def forward() -> Any:
            nonlocal start
            start = start.forward(steps)
            return {"step": start.to_json(), "history": [row.to_json() for row in start.history[-steps:]]}

        return forward

    return {
        "a course and its first step": lambda: course_of_model(model, images).start.to_json(),
        "a step taken apart": lambda: Step(course, 0, start.vector, start.state).to_json(),
        "all arrays of all layers": lambda: [layer.to_json(0) for layer in layers],
        "the working of a number": working,
        "a weight of the first layer, in a step not seen before": weight,
        "one step forward": moves(1),
        "one step back": lambda: start.back().to_json(),
        "ten steps forward": moves(10),
    }


if __name__ == "__main__":
    main()
