"""A step of each optimizer over 3.2 million weights, beside PyTorch's own where there is one: milliseconds, in turns.

    python -m benchmarks.optimizers [--weights 3200000] [--rounds 7]

The gradient is that of two workers, as in training on two cores; PyTorch's is one, summed already.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from firstlight import kernels
from firstlight.optimizers import OPTIMIZERS, Part

SHAPE = (1600, 2000)  # of Muon's matrix


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--weights", type=int, default=SHAPE[0] * SHAPE[1])
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    for name in OPTIMIZERS.ours():
        steps = {"firstlight": ours(name, asked.weights), "PyTorch": theirs(name, asked.weights)}
        found: dict[str, list[float]] = {label: [] for label, step in steps.items() if step is not None}
        for _ in range(asked.rounds):
            for label in found:
                step = steps[label]
                assert step is not None
                began = time.perf_counter()
                for _ in range(5):
                    step()
                found[label].append((time.perf_counter() - began) / 5 * 1000)
        told = (f"{label} {statistics.median(ms):.2f} ({min(ms):.2f}–{max(ms):.2f})" for label, ms in found.items())
        print(f"{name:8} {', '.join(told)}")


def ours(name: str, n: int) -> Callable[[], object]:
    each, loops, draw = OPTIMIZERS.build(name), kernels.load(), np.random.default_rng(0)
    theta, gradients = draw.standard_normal(n, np.float32), draw.standard_normal((2, n), np.float32)
    state = each.state(n)
    parts = [Part(slice(0, n), 1.0, (SHAPE[0], n // SHAPE[0]))] if name == "muon" else None

    def step() -> None:
        each.step(theta, gradients, state, 1e-3, parts, loops)

    step()
    return step


def theirs(name: str, n: int) -> Callable[[], object] | None:
    theta = torch.randn(n).requires_grad_()
    theta.grad = torch.randn(n)
    twin = OPTIMIZERS.build(name).twin(torch, [{"params": [theta]}], fused=True)
    if twin is None:
        return None
    twin.step()
    step: Callable[[], object] = twin.step
    return step


if __name__ == "__main__":
    main()
