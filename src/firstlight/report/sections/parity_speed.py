"""Parity of speed: how long a step of training takes on each engine."""

from __future__ import annotations

from collections.abc import Mapping

from firstlight.records.parity import Parity, Seconds, Speed
from firstlight.report.document import Block, Section, Table
from firstlight.report.format import DASH, counted
from firstlight.types import Json


def section(parity: Parity) -> Section:
    return Section("Seconds per step", "seconds", (table(parity.speed, parity.engines, parity.batch_size),))


def table(measured: Speed, engines: Mapping[str, Json], batch_size: int) -> Table:
    """How long a step takes on each engine."""
    rows = [
        ("numpy", *_spread(measured.numpy, 1000), _mode(engines.get("numpy", {}))),
        ("torch", *_spread(measured.torch, 1000), _mode(engines.get("torch", {}))),
        ("torch over numpy", *_spread(measured.ratio, 1), "above 1, numpy is faster"),
    ]
    return Table(
        titles=("engine", "median", "quartiles", "as it computed"),
        rows=tuple(rows),
        right=frozenset({1, 2}),
        caption=(
            f"Milliseconds per step of training in float32, batches of {batch_size}, over "
            f"{counted(measured.blocks, 'block')} of {counted(measured.steps, 'step')} each; the engines alternate, so "
            "that both run under the same conditions, each after its own warm-up."
        ),
    )


def _spread(seconds: Seconds, unit: float) -> tuple[str, str]:
    median, lower, upper = (f"{unit * value:.3g}" for value in (seconds.median, seconds.lower, seconds.upper))
    return median, f"{lower}{DASH}{upper}"


def _mode(engine: Json) -> str:
    """What an engine says of how it computed, in words."""
    said = [f"{engine['kernels']} kernels"] if engine.get("kernels") else []
    if engine.get("torch"):
        said.append(f"PyTorch {engine['torch']}")
    said += [word for key, word in (("channels_last", "channels last"), ("compiled", "compiled")) if engine.get(key)]
    threads = engine.get("threads")
    return ", ".join([*said, *([counted(threads, "thread")] if isinstance(threads, int) else [])])


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd checks, by what is odd."""
    seconds = Seconds(2e-3, 1.9e-3, 2.1e-3)
    speed = Speed(seconds, seconds, Seconds(1.5, 1.4, 1.6), 12, 100)
    engines = {"numpy": {"kernels": "<b>", "threads": 2}, "torch": {"torch": "2.13", "compiled": True, "threads": 1}}
    return {"usual": (table(speed, engines, 32),), "nothing known": (table(speed, {}, 32),)}
