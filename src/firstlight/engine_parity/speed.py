"""How long a step of training takes on each engine, as they are used: in float32, in blocks of steps taken in turn.

Turn by turn, because the speed of a machine drifts: a neighbour, heat, a clock that sinks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from firstlight.engine_parity.side_by_side import step_order
from firstlight.engines import Engine, Session, Task, open_engine
from firstlight.records.parity import Seconds, Speed
from firstlight.types import Images

BLOCK = 0.3  # seconds that a block should take
BUDGET = 8.0  # seconds for all blocks
FEWEST, MOST = 3, 12  # blocks for each engine
LONGEST = 200  # steps of a block


def measure_speed(
    task: Task, images: Images, *, batch_size: int, rate: float, kernels: str, note: Callable[[str], None]
) -> tuple[Speed, Mapping[str, Any]]:
    """The seconds per step of each engine, and what each says of itself. A block is an epoch of so many steps."""
    engines: dict[str, Engine] = {
        "numpy": open_engine("numpy", kernels=kernels),
        "torch": open_engine("torch", device="cpu"),
    }
    note("seconds per step: a first look")
    slowest = max(
        _first_look(engine.session(task, images), len(images), batch_size, rate) for engine in engines.values()
    )
    steps = min(LONGEST, max(1, round(BLOCK / slowest)))
    blocks = min(MOST, max(FEWEST, math.floor(BUDGET / (2 * steps * slowest))))
    again = images.take(np.resize(np.arange(len(images)), steps * batch_size))
    sessions: dict[str, Session] = {name: engine.session(task, again) for name, engine in engines.items()}
    for name, session in sessions.items():
        note(f"seconds per step: {name} warms up")
        session.warm_up(batch_size, blocks)
    taken: dict[str, list[float]] = {name: [] for name in sessions}
    for epoch in range(blocks):
        note(f"seconds per step: block {epoch + 1} of {blocks}")
        for name, session in sessions.items():
            began = time.perf_counter()
            session.train_epoch(epoch, batch_size, np.full(steps, rate), lambda done, loss: None)
            taken[name].append((time.perf_counter() - began) / steps)
    ratio = np.divide(taken["torch"], taken["numpy"])
    speed = Speed(_spread(taken["numpy"]), _spread(taken["torch"]), _spread(ratio), blocks, steps)
    return speed, {name: session.describe() for name, session in sessions.items()}


def _first_look(session: Session, n: int, batch_size: int, rate: float) -> float:
    """About how many seconds a step takes: the fastest of a few after the first, which may compile."""
    seconds: list[float] = []
    for epoch, step, index in step_order(0, n, batch_size, 8):
        began = time.perf_counter()
        session.train_step(index, epoch, step, rate)
        seconds.append(time.perf_counter() - began)
        if len(seconds) > 1 and sum(seconds[1:]) > BLOCK:
            break
    return min(seconds[1:])


def _spread(values: Any) -> Seconds:
    lower, median, upper = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    return Seconds(median, lower, upper)
