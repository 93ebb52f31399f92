"""Synthetic folders of searches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from firstlight.files import write_text
from firstlight.records import search_folder
from firstlight.records.environment import Environment, Machine
from firstlight.records.search_folder import TrialRecord, Tuned, TuneFolder


def trial(number: int, value: float | None, state: Any = "complete", **changes: Any) -> TrialRecord:
    values = {"optimizer.lr": 10.0 ** -(number % 5), "model.units": [number, 8] if number % 2 else 16}
    return TrialRecord(number, state, values, value, epochs=9, best=7, seconds=1.5, **changes)


TUNED = Tuned(
    status="complete",
    monitor="val_accuracy",
    maximise=True,
    asked=8,
    sampler="tpe",
    pruner="halving",
    seed=3,
    epochs=9,
    data="digits",
    model="mlp-128",
    space={"optimizer.lr": {"log": [1e-4, 1.0]}, "model.units": ([1, 8], [3, 8], [5, 8], [7, 8], 16)},
    trials=(
        trial(1, 0.5),
        trial(2, 0.875),
        trial(3, 0.25, "pruned"),
        trial(4, None, "failed", reason="The loss became nan <at once>."),
        trial(5, 0.9),
        trial(6, 0.95, "failed", reason="The loss became inf."),
        trial(7, 0.89),
        trial(8, 0.1, "pruned"),
    ),
    importance={"optimizer.lr": 0.75, "model.units": 0.25},
    environment=Environment(started="2026-11-21T10:00:00", firstlight="0.1.0", machine=Machine(processor="a slow one")),
)


def put(path: Path, tuned: Tuned = TUNED) -> TuneFolder:
    path.mkdir(exist_ok=True)
    write_text(path / search_folder.TUNE, '[data]\nsource = "digits"\n')
    write_text(path / search_folder.BEST, "# the best\nseed = 0\n")
    folder = TuneFolder(path)
    folder.write_result(tuned)
    return folder
