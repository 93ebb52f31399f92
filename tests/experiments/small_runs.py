"""Small real runs: an experiment with a few keys changed, and the run that comes of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from firstlight import experiments
from firstlight.console import TrainingProgress
from firstlight.experiments import Experiment
from firstlight.records.run_folder import RunFolder
from firstlight.types import Dataset

QUIET = TrainingProgress(Console(quiet=True))


def experiment(tables: Mapping[str, Any], /, **changes: Any) -> Experiment:
    """The experiment of `tables` with `changes`, such as training__epochs=3."""
    changed = copy.deepcopy(dict(tables))
    for key, value in changes.items():
        experiments.put(changed, key.replace("__", "."), value)
    return Experiment.of(changed)


def do(tables: Mapping[str, Any], path: Path, dataset: Dataset | None = None, /, **changes: Any) -> RunFolder:
    """Its run, in a new folder."""
    return experiments.start(experiments.set_up(experiment(tables, **changes), dataset), path, QUIET)
