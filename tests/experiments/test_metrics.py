"""Metrics of an experiment: recorded after each epoch and in the end, as monitor, and where they fail."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import firstlight as fl
from firstlight.evaluation import METRICS
from firstlight.experiments import Experiment, Search
from firstlight.records.run_folder import RunFolder
from firstlight.types import Array, Dataset

QUIET = Console(quiet=True)


def fit(data: Dataset, out: Path, epochs: int = 3, looking: Any = None, **training: Any) -> fl.Run:
    settings = {"data.validation": 0.2, "data.test": 0.2} | {f"training.{key}": v for key, v in training.items()}
    return fl.fit("mlp-128", data, epochs=epochs, out=out, console=QUIET, settings=settings, on_epoch=looking)


def test_they_are_recorded_after_each_epoch_and_in_the_end(few_digits: Dataset, tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []
    named = ["balanced_accuracy", "macro-auc", "accuracy"]
    run = fit(few_digits, tmp_path / "run", metrics=named, looking=lambda p: seen.append(dict(p.metrics)))
    names = ["balanced-accuracy", "macro-auc"]
    history = run.folder.history
    assert [name for name in history if name.startswith("val_")][2:] == [f"val_{name}" for name in names]
    assert [list(each) for each in seen] == [names] * 3
    assert [each["macro-auc"] for each in seen] == list(history["val_macro-auc"])
    result = RunFolder.open(run.path).result
    assert result.validation is not None
    kept = result.validation.evaluation.metrics
    assert kept["macro-auc"] == pytest.approx(history["val_macro-auc"][result.epochs.best - 1])
    predictions = run.predictions["test"]
    for name, value in result.test.evaluation.metrics.items():
        assert value == METRICS[name].value(predictions.labels, predictions.probabilities)
    low, high = result.test.evaluation.scores[0].interval or (2, 2)
    assert low < (kept["balanced-accuracy"] or 0) < 1.1
    assert low < high
    assert run.evaluate(few_digits, include_seen=True)[0].metrics.keys() == {*names}


def test_without_any_nothing_is_written_that_was_not_before(few_digits: Dataset, tmp_path: Path) -> None:
    run = fit(few_digits, tmp_path / "run")
    assert "metrics" not in json.loads((run.path / "result.json").read_text())["test"]
    assert not any("-" in column for column in run.folder.history)


@pytest.mark.parametrize(("higher", "best"), [(True, 2), (False, 3)])
def test_the_best_epoch_is_that_of_the_metric_by_its_direction(
    few_digits: Dataset, tmp_path: Path, higher: bool, best: int
) -> None:
    """A metric that says 0.5, 0.9, 0.1, 0.1, 0.1: of equals the lower loss is better."""
    script = iter([0.0, 0.0, 0.5, 0.9, 0.1, 0.3, 0.3, *[0.5] * 9])
    with METRICS.restored():

        @fl.metric(higher_is_better=higher)
        def scripted(labels: Array, probabilities: Array) -> float:
            """What a test says."""
            return next(script)

        result = fit(few_digits, tmp_path / "run", epochs=5, monitor="scripted", early_stopping=2).folder.result
    assert result.epochs.best == best
    assert (result.status, result.epochs.run) == (("stopped early", 4) if higher else ("finished", 5))


def test_one_that_fails_later_leaves_gaps_and_the_run_is_whole(
    few_digits: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = iter(range(100))
    with METRICS.restored():

        @fl.metric
        def fragile(labels: Array, probabilities: Array) -> float:
            """It fails from the second epoch on."""
            if next(asked) >= 3:
                raise LookupError("nothing there")
            return 0.5

        settings = {"data.validation": 0.2, "data.test": 0.2, "training.metrics": ["fragile"]}
        settings["training.monitor"] = "val_fragile"
        run = fl.fit("mlp-128", few_digits, epochs=3, out=tmp_path / "run", settings=settings)
    said = capsys.readouterr().out
    assert said.count("the metric fragile has no value on the validation images: it raised LookupError") == 1
    np.testing.assert_equal(run.folder.history["val_fragile"], [0.5, math.nan, math.nan])
    result = run.folder.result
    assert (result.status, result.epochs.best) == ("finished", 1)
    (score,) = result.test.evaluation.scores
    assert (score.value, score.trouble) == (None, "it raised LookupError: nothing there")


def test_one_that_cannot_work_is_told_before_anything_starts(few_digits: Dataset, tmp_path: Path) -> None:
    with METRICS.restored():

        @fl.metric
        def wrong(labels: Array, probabilities: Array) -> Any:
            """A whole array."""
            return labels

        with pytest.raises(
            fl.ExperimentError, match=r"training.metrics: wrong cannot be computed.*must return a number"
        ):
            fit(few_digits, tmp_path / "run", metrics=["wrong"])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("training", "told"),
    [
        ({"metrics": ["balanced-acuracy"]}, "training.metrics.*name of a metric .did you mean balanced-accuracy"),
        ({"monitor": "val_macro_auk"}, "training.monitor.*val_macro-auc"),
        ({"metrics": "macro-auc"}, "training.metrics"),
        ({"metrics": [[1]]}, "training.metrics.0: must be the name of a metric"),
    ],
)
def test_names_that_are_not_known_are_told_with_the_nearest(training: dict[str, Any], told: str) -> None:
    with pytest.raises(fl.ExperimentError, match=f"(?s){told}"):
        Experiment.of({"data": {"source": "digits"}, "training": training})


def test_a_monitor_is_measured_and_named_in_several_ways() -> None:
    for text in ("val_macro-auc", "macro-auc", "val_macro_auc", "Macro-AUC"):
        training = Experiment.of({"data": {"source": "digits"}, "training": {"monitor": text}}).training
        assert (training.monitor, training.measured) == ("val_macro-auc", ("macro-auc",))


def test_a_run_goes_on_with_them(few_digits: Dataset, tmp_path: Path) -> None:
    def fail(progress: fl.EpochProgress) -> None:
        raise LookupError

    whole = fit(few_digits, tmp_path / "whole", metrics=["macro-auc"])
    with pytest.raises(LookupError):
        fit(few_digits, tmp_path / "run", metrics=["macro-auc"], looking=fail)
    again = fl.resume(tmp_path / "run", data=few_digits, console=QUIET)
    np.testing.assert_equal(again.folder.history["val_macro-auc"], whole.folder.history["val_macro-auc"])


@pytest.mark.parametrize(("goal", "maximize"), [("calibration-error", False), ("val_macro_auc", True), (None, True)])
def test_a_search_goes_the_way_of_its_metric(goal: str | None, maximize: bool) -> None:
    tables: dict[str, Any] = {
        "data": {"source": "digits"},
        "space": {"optimizer.lr": [0.1, 0.2]},
        "tune": {"sampler": "grid"},
    }
    tables["tune"] |= {} if goal is None else {"monitor": goal}
    search = Search.of(tables)
    assert search.maximize == maximize
    assert search.first.training.measured == (() if goal is None else (search.monitor.removeprefix("val_"),))
