"""A run with MixUp and CutMix: the same after a stop and on both engines, kept with its shares, and told."""

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
from firstlight.records import run_folder
from firstlight.records.group import of_runs
from firstlight.records.run import read
from firstlight.records.run_folder import RunFolder
from firstlight.report.sections import results
from firstlight.types import MixedImages

QUIET = TrainingProgress(Console(quiet=True))
MIX = {"mixup": {"alpha": 1.0, "p": 0.5}, "cutmix": {"p": 0.5}, "elastic": 0.05}


def experiment(augment: dict[str, Any] | None = None, **tables: Any) -> Experiment:
    usual: dict[str, Any] = {
        "data": {"source": "digits", "limit": 120},
        "augment": MIX if augment is None else augment,
        "model": {"name": "mlp-128", "units": [12]},
        "training": {"epochs": 2},
        "loss": {"class_weights": "balanced", "label_smoothing": 0.05},
    }
    return Experiment.of(usual | tables)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return experiments.start(experiments.set_up(experiment()), tmp_path_factory.mktemp("runs") / "mixed", QUIET)


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path, run: RunFolder) -> None:
    class Cut(TrainingProgress):
        def epoch_done(self, row: dict[str, float], best: bool) -> None:
            raise EOFError

    with pytest.raises(EOFError):
        experiments.start(experiments.set_up(experiment()), tmp_path / "cut", Cut(Console(quiet=True)))
    resumed = experiments.resume(tmp_path / "cut", QUIET)
    assert (resumed.path / run_folder.WEIGHTS).read_bytes() == (run.path / run_folder.WEIGHTS).read_bytes()


def test_both_engines_learn_along_the_same_curve(tmp_path: Path) -> None:
    curves = []
    for engine in ("numpy", "torch"):
        asked = experiment(engine=engine, precision="float64", device="auto" if engine == "numpy" else "cpu")
        curves.append(experiments.start(experiments.set_up(asked), tmp_path / engine, QUIET).history)
    for column in ("loss", "accuracy"):
        np.testing.assert_allclose(curves[0][column], curves[1][column], rtol=1e-9)


def test_samples_are_those_of_training_with_their_shares(run: RunFolder) -> None:
    kept = RunFolder.open(run.path).samples["augmented"]
    assert isinstance(kept, MixedImages)
    np.testing.assert_allclose(kept.targets.sum(axis=1), 1)
    assert (kept.targets.max(axis=1) < 1).any()
    setup = experiments.set_up(experiment())
    from firstlight.kernels import load

    augmented = setup.task.augmented(setup.train, load())
    assert augmented is not None
    places = {name: i for i, name in enumerate(setup.train.ids.tolist())}
    index = np.array([places[name] for name in kept.ids[:6].tolist()])
    again = augmented.batch(index, 0)
    assert isinstance(again, MixedImages)
    assert np.array_equal(again.pixels, kept.pixels[:6])
    np.testing.assert_allclose(again.targets, kept.targets[:6])


def test_the_report_tells_the_shares_and_what_the_training_accuracy_counts(run: RunFolder) -> None:
    record = read(run)
    assert record.mixed
    assert record.augmented
    page = report.write(run).read_text()
    assert "mixup (alpha 1, p 0.5)" in page
    assert "elastic (amount 0.05, smoothness 0.14)" in page
    assert page.count("counts an image as correct if the class with the largest share is predicted") == 1
    assert results.MIXED in results.table(results.numbers(of_runs([record]))).caption
    shares = record.samples["augmented"].targets[0]  # type: ignore[attr-defined]
    largest = int(shares.argmax())
    assert f"{shares[largest]:.0%}".rstrip("%") + "\u202f% " + record.class_names[largest] in page


def test_what_can_not_be_mixed_is_told_before_anything_starts(tmp_path: Path) -> None:
    for table, says in (({"hue": 0.1}, "the images are grey"), ({"cutmix": {"alpha": 0}}, "cutmix.alpha must be")):
        with pytest.raises(ExperimentError, match=says):
            experiments.set_up(experiment(table))
    assert experiment({"cutmix": False}).build_augmentation().table() == experiment({}).build_augmentation().table()
