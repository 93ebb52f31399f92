"""Runs whose average of the weights is kept, and whose optimizer looks ahead: the same after a stop, and named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from firstlight import experiments, report
from firstlight.console import TrainingProgress
from firstlight.errors import ExperimentError
from firstlight.experiments import Experiment
from firstlight.optimizers import OPTIMIZERS as OPTIMIZERS_KNOWN
from firstlight.optimizers import Lagged, Lookahead, MovingAverage, NAdam, Optimizer
from firstlight.records import run_folder
from firstlight.records.run_folder import RunFolder

QUIET = TrainingProgress(Console(quiet=True))
OPTIMIZERS: tuple[dict[str, Any], ...] = (
    {"name": "nadam", "lookahead": 5, "lag": 0.1},
    {"name": "muon", "lr": 0.01},
)


def experiment(engine: str = "numpy", optimizer: dict[str, Any] = OPTIMIZERS[0], **training: Any) -> Experiment:
    return Experiment.of(
        {
            "engine": engine,
            "device": "cpu",
            "precision": "float64" if engine == "torch" else "float32",
            "data": {"source": "digits", "limit": 200},
            "model": {"layers": [{"type": "Flatten"}, {"type": "Dense", "units": 12}, {"type": "BatchNorm"},
                                 {"type": "ReLU"}, {"type": "Dense", "units": 10}]},
            "optimizer": optimizer,
            "schedule": {"name": "plateau", "patience": 0, "of": "val_error"},
            "training": {"epochs": 3, "average": "ema", "average_decay": 0.9, **training},
        }
    )  # fmt: skip


def start(experiment: Experiment, out: Path, watcher: TrainingProgress = QUIET) -> RunFolder:
    return experiments.start(experiments.set_up(experiment), out, watcher)


class PowerCut(Exception):  # noqa: N818
    pass


class Cut(TrainingProgress):
    def epoch_done(self, row: dict[str, float], best: bool) -> None:
        if row["epoch"] == 2:
            raise PowerCut


@pytest.mark.parametrize(("engine", "optimizer"), [("numpy", OPTIMIZERS[0]), ("torch", OPTIMIZERS[1])])
def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path, engine: str, optimizer: dict[str, Any]) -> None:
    asked = experiment(engine, optimizer)
    whole = start(asked, tmp_path / "whole")
    with pytest.raises(PowerCut):
        start(asked, tmp_path / "cut", Cut(Console(quiet=True)))
    resumed = experiments.resume(tmp_path / "cut", QUIET)
    assert (resumed.path / run_folder.WEIGHTS).read_bytes() == (whole.path / run_folder.WEIGHTS).read_bytes()
    columns = ("loss", "val_loss", "val_accuracy", "learning_rate")
    assert [resumed.history[name].tolist() for name in columns] == [whole.history[name].tolist() for name in columns]


def test_the_average_is_evaluated_and_named(tmp_path: Path) -> None:
    averaged = start(experiment(), tmp_path / "averaged")
    plain = start(experiment(average="none"), tmp_path / "plain")
    assert averaged.history["loss"].tolist() == plain.history["loss"].tolist()
    assert np.abs(averaged.history["val_loss"] - plain.history["val_loss"]).min() > 1e-4
    weights = [(run.path / run_folder.WEIGHTS).read_bytes() for run in (averaged, plain)]
    assert weights[0] != weights[1]
    pages = [report.card(run) for run in (averaged, plain)]
    assert "Averaged weights: exponential moving average of decay 0.9" in pages[0]
    assert "Averaged weights" not in pages[1]


def test_a_formula_that_is_not_compiled_is_told_of_and_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with OPTIMIZERS_KNOWN.restored():

        @OPTIMIZERS_KNOWN.register(name="normed")
        class Normed(Optimizer):
            """θ ← θ − lr g / ‖g‖, over all weights together."""

            lr: float = 0.05

            def formula(self, theta: Any, g: Any, lr: float) -> Any:
                return theta - lr * g / np.linalg.norm(g)

        run = start(experiment(optimizer={"name": "normed"}, epochs=1), tmp_path / "run", TrainingProgress(Console()))
        assert "The formula of" in capsys.readouterr().out.replace("the formula", "The formula")
        assert "norm" in run.environment.optimizer_not_compiled


def test_what_is_round_the_optimizer_is_said_in_its_table() -> None:
    assert experiment().build_optimizer() == Lagged(Lookahead(NAdam(), 5, 0.5), 0.1)
    assert experiment().build_average() == MovingAverage(0.9)
    assert experiment(average="none").build_average() is None
    wrong: list[dict[str, Any]] = [{"average": "swa"}, {"average_decay": 1.0}]
    for training in wrong:
        with pytest.raises(ExperimentError, match=f"training.{next(iter(training))}: must be"):
            experiment(**training)
