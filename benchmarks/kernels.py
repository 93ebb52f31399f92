"""The convolution kernels, reference against compiled: `python -m benchmarks.kernels [--rounds 9] [name ...]`.

For every convolution of the nets at hand, in float32: the median time of each function in milliseconds over rounds
that alternate between the two, the half range of the middle half as the spread, and the rate in GFLOP/s (two floating
point operations a multiply-add, those with padding not counted).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks.rounds import alternate as turns_of
from benchmarks.rounds import repeats, summary
from firstlight.kernels import load
from firstlight.types import Array


class Case(NamedTuple):
    """A convolution of a net: O filters of k×k over images of C channels, H×H, N at a time."""

    name: str
    C: int
    H: int
    N: int
    O: int  # noqa: E741
    k: int
    border: int


CASES = (
    Case("lenet5 conv1", 1, 28, 32, 6, 5, 2),
    Case("lenet5 conv2", 6, 14, 32, 16, 5, 0),
    Case("lenet5 conv3", 16, 5, 32, 120, 5, 0),
    Case("mnist-cnn conv1", 1, 28, 64, 32, 3, 0),
    Case("mnist-cnn conv2", 32, 13, 64, 64, 3, 0),
    Case("mnist-cnn conv3", 64, 5, 64, 64, 3, 0),
    Case("fashion-cnn conv2", 32, 14, 64, 32, 3, 1),
    Case("vgg-small conv1", 1, 32, 64, 32, 3, 1),
    Case("vgg-small conv2", 32, 32, 64, 32, 3, 1),
    Case("vgg-small conv3", 32, 16, 64, 64, 3, 1),
    Case("vgg-small conv4", 64, 16, 64, 64, 3, 1),
    Case("vgg-small conv5", 64, 8, 64, 128, 3, 1),
    Case("vgg-small conv6", 128, 8, 64, 128, 3, 1),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only the cases whose name contains one of these")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    cases = [case for case in CASES if not options.names or any(name in case.name for name in options.names)]

    table = Table(title=f"float32, {numba.get_num_threads()} threads, medians of {options.rounds}, ms ± spread")
    for heading in ("convolution", "function", "reference", "compiled", "times faster", "GFLOP/s"):
        table.add_column(heading, justify="left" if heading in ("convolution", "function") else "right")
    with threadpool_limits(1, user_api="blas"):  # as the engine does: BLAS threads beside Numba's get in their way
        for case in cases:
            for row in measure(case, options.rounds):
                table.add_row(*row)
            table.add_section()
    Console(width=100).print(table)


def measure(case: Case, rounds: int) -> list[tuple[str, ...]]:
    """The rows of one convolution: forward, dx, dW."""
    rng = np.random.default_rng(0)
    reference, compiled = load("reference"), load("compiled")
    stride, padding = (1, 1), ((case.border, case.border), (case.border, case.border))
    x = rng.standard_normal((case.C, case.H, case.H, case.N), np.float32)
    W = rng.standard_normal((case.O, case.C, case.k, case.k), np.float32)
    b = rng.standard_normal(case.O, np.float32)
    dy = compiled.conv2d(x, W, b, stride, padding)
    taps = _taps(case.H, dy.shape[1], case.k, case.border) ** 2
    flop = 2 * taps * case.C * case.O * case.N
    functions: dict[str, Any] = {
        "forward": [lambda k=k: k.conv2d(x, W, b, stride, padding) for k in (reference, compiled)],
        "dx": [lambda k=k: k.conv2d_dx(dy, W, stride, padding, x.shape[1:3]) for k in (reference, compiled)],
        "dW": [lambda k=k: k.conv2d_dW(x, dy, stride, padding, W.shape[2:]) for k in (reference, compiled)],
    }
    rows: list[tuple[str, ...]] = []
    for name, pair in functions.items():
        (slow, slow_spread), (fast, fast_spread) = alternate(pair, rounds)
        rows.append(
            (
                case.name,
                name,
                f"{slow:.3f} ± {slow_spread:.3f}",
                f"{fast:.3f} ± {fast_spread:.3f}",
                f"{slow / fast:.1f}",
                f"{flop / fast / 1e6:.0f}",
            )
        )
    return rows


def alternate(functions: list[Callable[[], Array]], rounds: int) -> list[tuple[float, float]]:
    """Median and spread in ms of each function, taking turns; a turn repeats the call for at least 5 ms."""
    takers = {str(i): _taker(function) for i, function in enumerate(functions)}
    turns = turns_of(takers, rounds, pause=lambda: None)
    return [(found.median * 1e3, found.spread * 1e3) for found in map(summary, turns.values())]


def _taker(function: Callable[[], Array]) -> Callable[[], float]:
    """Takes a turn of calls after one that is not counted, and answers with the seconds of one."""

    def take(count: int) -> float:
        function()
        start = time.perf_counter()
        for _ in range(count):
            function()
        return (time.perf_counter() - start) / count

    count = repeats(take(1), 0.005)
    return lambda: take(count)


def _taps(size: int, out: int, k: int, border: int) -> int:
    """How many (output, tap) pairs along one axis lie on a pixel."""
    return sum(0 <= i + r - border < size for i in range(out) for r in range(k))


if __name__ == "__main__":
    main()
