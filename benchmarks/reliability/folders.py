"""The experiments that programs start from, and whether two finished runs are the same."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reliability.attack import Attack
from benchmarks.reliability.commands import Ended, run
from firstlight.locks import LOCK
from firstlight.records.run_folder import COSTS, DATA, EXPERIMENT, MODEL, PREDICTIONS, SAMPLES, WEIGHTS, RunFolder
from firstlight.types import Array

# Everything that a run folder may hold, in seconds: augmentation, batch norm, dropout, a schedule, costs.
RUN = """\
seed = 3

[data]
source = "digits"
size = 24
limit = 400

[prepare]
standardise = "channel"

[augment]
rotate = 10
cutout = { range = [0.1, 0.3], p = 0.5 }

[model]
name = "tiny"
layers = [
  { type = "Conv2D", filters = 8, padding = "same" },
  { type = "BatchNorm" },
  { type = "ReLU" },
  { type = "MaxPool2D" },
  { type = "Flatten" },
  { type = "Dropout", rate = 0.3 },
  { type = "Dense", units = 10 },
]

[optimizer]
name = "adam"
lr = 3e-3

[schedule]
name = "one-cycle"

[training]
epochs = 4
batch_size = 16
cost_every = 5
"""

STUDY = """\
title = "Small"
about = "Two rates."
seeds = 2

[defaults]
data = { source = "digits", limit = 200 }
model = { name = "mlp-128" }
training = { epochs = 2 }

[[run]]
name = "slow"

[[run]]
name = "fast"
optimizer = { lr = 0.01 }
"""

SEARCH = """\
[data]
source = "digits"
limit = 200

[model]
name = "mlp-128"

[training]
epochs = 2

[tune]
trials = 4

[space]
lr = { log = [1e-4, 1e-1] }
"""

# Differs between two runs of the same experiment.
PASSING = {"seconds", "images_per_second", "measured_before", "estimate"}


def finished_run(a: Attack, *, explain: bool = False) -> Path:
    """A finished run of RUN, made by the command."""
    return _made(a, "run", RUN, *(["--explain"] if explain else []))


def finished_study(a: Attack) -> Path:
    """A finished study of STUDY."""
    return _made(a, "study", STUDY)


def finished_search(a: Attack) -> Path:
    """A finished search of SEARCH."""
    return _made(a, "tune", SEARCH)


def _made(a: Attack, command: str, text: str, *more: str) -> Path:
    file, place = a.work / f"{command}.toml", a.work / f"finished-{command}"
    file.write_text(text)
    kept = (a.kept or a.work) / f"kept-{command}{''.join(more)}" / place.name  # a search knows its folder's name
    if not kept.exists():
        ended = run(command, file, "--out", kept, *more, timeout=600)
        if ended.code != 0:
            raise RuntimeError(f"{command} ended with {ended.code}: {ended.output}")
    shutil.copytree(kept, place)
    return place


def differences(one: Path, other: Path) -> list[str]:
    """What two finished runs of the same experiment do not share, beside times; ["unreadable: …"] where that fails."""
    try:
        return _differences(one, other)
    except Exception as error:
        return [f"unreadable: {type(error).__name__}"]


def _differences(one: Path, other: Path) -> list[str]:
    found = [
        name
        for name in (WEIGHTS, EXPERIMENT, MODEL, DATA, COSTS)
        if (one / name).exists() != (other / name).exists()
        or ((one / name).exists() and (one / name).read_bytes() != (other / name).read_bytes())
    ]
    if _history(one) != _history(other):
        found.append("history.csv")
    for name in (PREDICTIONS, SAMPLES):
        mine, theirs = _arrays(one / name), _arrays(other / name)
        if mine.keys() != theirs.keys() or any(not np.array_equal(mine[key], theirs[key]) for key in mine):
            found.append(name)
    mine, theirs = (RunFolder.open(path).result_json for path in (one, other))
    return found + [
        f"result.json: {key}"
        for key in sorted((mine.keys() | theirs.keys()) - PASSING)
        if mine.get(key) != theirs.get(key)
    ]


def leftovers(folder: Path) -> list[str]:
    """Temporary files that a killed process left below a folder, and nobody removed."""
    return sorted(p.name for p in folder.rglob(".*") if p.is_file() and p.name not in (LOCK, ".demo"))


def said(ended: Ended) -> str:
    """The last line of what a command printed, short."""
    lines = ended.output.strip().splitlines()
    return lines[-1][:140] if lines else "nothing"


def _history(run: Path) -> list[dict[str, Any]]:
    rows = csv.DictReader(io.StringIO((run / "history.csv").read_text()))
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def _arrays(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}
