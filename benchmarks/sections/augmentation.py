"""What augmentation costs: an epoch with it beside one without, and the images alone beside other pipelines."""

from __future__ import annotations

import time
from functools import partial

from rich.console import Console

from benchmarks import contest
from benchmarks.cases import Case
from benchmarks.contestants import AUGMENTING, CONTESTANTS
from benchmarks.contestants.augmenting import TABLE
from benchmarks.rounds import PAUSE, alternate, repeats, summary
from benchmarks.sections import Options
from benchmarks.workers import Worker, WorkerError, workers
from firstlight.types import Json

EPOCH = Case("lenet5, batch 32", "lenet5", 32, steps=600)
ALONE = Case("28×28, batches of 32", "lenet5", 32, steps=64)
OWN = ("firstlight", "firstlight-augmented")
console = Console(stderr=True, highlight=False)


def augment(options: Options) -> Json:
    """An epoch of lenet5 with flips, turns, shifts and zooms and one without, in turns; then these images alone."""
    found = contest.together([EPOCH], OWN, options)
    turns, left_out = _alone(options)
    return found | {"asked": TABLE, "alone": {"images": ALONE.images, "turns": turns, "left_out": left_out}}


def _alone(options: Options) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Seconds per image of each pipeline in each round, and who is left out and why."""
    takers: dict[str, partial[float]] = {}
    left_out: dict[str, str] = {}
    with workers() as found:
        for name in AUGMENTING:
            missing = CONTESTANTS[name].missing
            if missing:
                left_out[name] = f"{' and '.join(missing)} not installed"
                continue
            try:
                found[name].ask("prepare", case=ALONE.described())
                count = repeats(found[name].ask("turn", repeats=1))
            except WorkerError as error:
                if name.startswith("firstlight"):
                    raise
                left_out[name] = str(error)
                continue
            takers[name] = partial(_take, found[name], count)
        turns = alternate(takers, options.rounds, pause=lambda: time.sleep(PAUSE))
    rates = ", ".join(f"{name} {1 / summary(taken).median:,.0f}" for name, taken in turns.items())
    console.print(f"  alone: {rates} images per second", soft_wrap=True)
    return turns, left_out


def _take(worker: Worker, count: int) -> float:
    return float(worker.ask("turn", repeats=count)) / (count * ALONE.images)
