"""How the cost goes with the batch, the threads, the size of an image and the width of a net."""

from __future__ import annotations

import os
import time
from dataclasses import replace

from benchmarks import contest
from benchmarks.cases import Case
from benchmarks.contestants import CONTESTANTS
from benchmarks.rounds import PAUSE, repeats
from benchmarks.sections import Options
from benchmarks.sections.training import STEPS
from benchmarks.workers import Worker
from firstlight.types import Json

BATCHES = (1, 4, 16, 64, 256, 1024)
SIDES = (16, 24, 32, 48, 64)
WIDTHS = (1, 4, 16, 64)
THREADED = ("lenet5, batch 32", "mlp-128-64, batch 128", "mnist-cnn, batch 64", "vgg-small, 32×32×1, batch 64")
PAIR = ("firstlight", "torch")


def batches(options: Options) -> Json:
    """lenet5 by batch size, trained and used; used, a batch is one call."""
    train = [Case(f"train, {size}", "lenet5", size, steps=max(2, min(400, 12_800 // size))) for size in BATCHES]
    predict = [Case(f"predict, {size}", "lenet5", size, predict=True) for size in BATCHES]
    return contest.together([*train, *predict], PAIR, options)


def threads(options: Options) -> Json:
    """One thread against two: firstlight's, and PyTorch's."""
    cases = [case for case in STEPS if case.name in THREADED]
    names = ("firstlight-1", "firstlight", "torch-1", "torch-2")
    return contest.together(cases, names, options)


def sizes(options: Options) -> Json:
    """fashion-cnn by the side of an image, and vgg-small by the filters of its first block; batch 32."""
    side = [Case(f"side {size}", "fashion-cnn", 32, (size, size, 1), steps=max(4, 40_000 // size**2)) for size in SIDES]
    width = [
        Case(f"filters {w}", "vgg-small", 32, (32, 32, 1), max(3, 160 // w), {"filters": (w, 2 * w, 4 * w)})
        for w in WIDTHS
    ]
    return contest.together([*side, *width], PAIR, options)


def pair(options: Options) -> Json:
    """Two trainings at once on one core each, against one after the other on both; seconds for both together."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        return {"cases": [], "left_out": "needs two cores and taskset"}
    case = replace(STEPS[0], name="lenet5, batch 32, twice")
    ours = CONTESTANTS["firstlight"]
    alone = [Worker(ours, [core]) for core in cores[:2]]
    both = Worker(ours)
    try:
        for worker in (*alone, both):
            worker.ask("prepare", case=case.described())
            worker.ask("turn", repeats=1)
        count = repeats(both.ask("turn", repeats=1))
        turns: dict[str, list[float]] = {"at once": [], "one after the other": []}
        for _ in range(options.rounds):
            turns["at once"].append(_at_once(alone, count))
            turns["one after the other"].append(sum(_at_once([both], count) for _ in range(2)))
    finally:
        for worker in (*alone, both):
            worker.close()
    steps = 2 * count * case.steps
    return {
        "cases": [{"name": case.name, "turns": {name: [t / steps for t in found] for name, found in turns.items()}}]
    }


def _at_once(found: list[Worker], count: int) -> float:
    """Seconds until all have taken a turn of so many epochs that they begin together."""
    time.sleep(PAUSE)
    began = time.perf_counter()
    for worker in found:
        worker.send("turn", repeats=count)
    for worker in found:
        worker.receive()
    return time.perf_counter() - began
