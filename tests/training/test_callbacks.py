"""`on_epoch` and `on_step`: what they see, how they stop a run, and what becomes of their errors."""

from __future__ import annotations

import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import firstlight as fl
from firstlight.records.run_folder import WEIGHTS
from firstlight.training import Callbacks
from firstlight.types import Dataset
from firstlight.weights import from_file

QUIET = Console(quiet=True)
ENGINES = ("numpy", "torch")


def fit(data: Dataset, out: Path, engine: str = "numpy", **looking: Any) -> fl.Run:
    settings = {"engine": engine, "data.validation": 0.2, "data.test": 0.2}
    return fl.fit("mlp-128", data, epochs=3, out=out, console=QUIET, settings=settings, **looking)


def must_be_alike(run: fl.Run, other: fl.Run) -> None:
    """To the bit on the engine numpy; torch takes the mode that was the fastest as it began."""
    close = 0.0 if run.experiment.engine == "numpy" else 1e-5
    weights, others = (from_file(each.path / WEIGHTS) for each in (run, other))
    for name, array in weights.items():
        np.testing.assert_allclose(array, others[name], rtol=0, atol=close)


@pytest.mark.parametrize("engine", ENGINES)
def test_they_see_every_epoch_and_step_and_spoil_nothing(few_digits: Dataset, tmp_path: Path, engine: str) -> None:
    epochs: list[fl.EpochProgress] = []
    steps: list[fl.StepProgress] = []
    seen: list[float] = []

    def on_epoch(progress: fl.EpochProgress) -> None:
        epochs.append(progress)
        for array in progress.weights().values():
            array[...] = np.nan  # a copy

    def on_step(progress: fl.StepProgress) -> None:
        steps.append(progress)
        copied = progress.weights()["head.b"]
        seen.append(float(copied[0]))
        copied[...] = np.nan
        np.random.default_rng(0).random()

    plain = fit(few_digits, tmp_path / "plain", engine)
    watched = fit(few_digits, tmp_path / "watched", engine, on_epoch=on_epoch, on_step=on_step)
    must_be_alike(watched, plain)
    assert watched.folder.result.status == "finished"

    history = watched.folder.history
    assert [each.epoch for each in epochs] == [1, 2, 3]
    assert [each.loss for each in epochs] == pytest.approx(list(history["loss"]))
    assert [each.val_accuracy for each in epochs] == pytest.approx(list(history["val_accuracy"]))
    assert {each.epochs for each in epochs} == {3}
    assert epochs[-1].best == watched.folder.result.epochs.best
    of_an_epoch = steps[-1].steps
    assert [(each.epoch, each.step) for each in steps] == [
        (epoch, step) for epoch in (1, 2, 3) for step in range(1, of_an_epoch + 1)
    ]
    assert len(set(seen)) == len(steps), "the weights are those of the step"
    assert steps[-1].loss == pytest.approx(epochs[-1].loss)
    assert steps[0].images == 32
    for record in (epochs[0], steps[0]):
        with pytest.raises(fl.RunError, match="within on_epoch or on_step"):
            record.weights()


@pytest.mark.parametrize("engine", ENGINES)
def test_stop_after_an_epoch_ends_a_whole_run(few_digits: Dataset, tmp_path: Path, engine: str) -> None:
    run = fit(few_digits, tmp_path / "run", engine, on_epoch=lambda p: fl.STOP if p.epoch == 2 else None)
    result = run.folder.result
    assert (result.status, result.epochs.run) == ("stopped by on_epoch", 2)
    assert result.test.images == 60
    with pytest.raises(fl.RunError, match="stopped by on_epoch"):
        fl.resume(run.path, console=QUIET)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("at", "epochs", "kept"), [((2, 2), 1, 1), ((1, 3), 0, 0)])
def test_stop_after_a_step_ends_it_there(
    few_digits: Dataset, tmp_path: Path, engine: str, at: tuple[int, int], epochs: int, kept: int
) -> None:
    count = []

    def on_step(progress: fl.StepProgress) -> Any:
        count.append(progress)
        return fl.STOP if (progress.epoch, progress.step) == at else None

    result = fit(few_digits, tmp_path / "run", engine, on_step=on_step).folder.result
    assert (result.status, result.epochs.run, result.epochs.weights) == ("stopped by on_step", epochs, kept)
    assert (count[-1].epoch, count[-1].step) == at


def test_after_its_last_step_an_epoch_is_whole(few_digits: Dataset, tmp_path: Path) -> None:
    run = fit(few_digits, tmp_path / "run", on_step=lambda p: fl.STOP if p.step == p.steps else None)
    assert (run.folder.result.status, run.folder.result.epochs.run) == ("stopped by on_step", 1)


def test_stop_in_the_last_epoch_is_the_end_that_was_asked_for(few_digits: Dataset, tmp_path: Path) -> None:
    run = fit(few_digits, tmp_path / "run", on_epoch=lambda p: fl.STOP if p.epoch == p.epochs else None)
    assert run.folder.result.status == "finished"


@pytest.mark.parametrize("engine", ENGINES)
def test_an_error_interrupts_the_run_which_goes_on_later(few_digits: Dataset, tmp_path: Path, engine: str) -> None:
    def fail(progress: fl.EpochProgress) -> None:
        if progress.epoch == 2:
            raise LookupError("nothing there")

    whole = fit(few_digits, tmp_path / "whole", engine)
    with pytest.raises(LookupError, match="nothing there") as caught:
        fit(few_digits, tmp_path / "run", engine, on_epoch=fail)
    frames = [Path(frame.filename).name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames == ["test_callbacks.py", "test_callbacks.py", "api.py", "test_callbacks.py"]
    assert any("fl.resume" in note for note in caught.value.__notes__)

    result = fl.open_run(tmp_path / "run", data=few_digits).folder.result
    assert (result.status, result.epochs.run) == ("interrupted", 2)
    assert "LookupError: nothing there" in result.stopped_because
    seen: list[int] = []
    again = fl.resume(tmp_path / "run", data=few_digits, console=QUIET, on_epoch=lambda p: seen.append(p.epoch))
    assert seen == [3]
    must_be_alike(again, whole)


@pytest.mark.parametrize("answer", [True, False, 0, "stop"])
def test_another_answer_is_an_error_that_says_so(few_digits: Dataset, tmp_path: Path, answer: Any) -> None:
    with pytest.raises(fl.ExperimentError, match=rf"on_step must return fl.STOP or nothing; it returned {answer}"):
        fit(few_digits, tmp_path / "run", on_step=lambda p: answer)
    assert fl.open_run(tmp_path / "run", data=few_digits).folder.result.status == "interrupted"


@pytest.mark.parametrize(
    ("looking", "told"),
    [
        ({"on_epoch": lambda: None}, "on_epoch must be a function of one argument"),
        ({"on_step": lambda a, b: None}, "on_step must be a function of one argument"),
        ({"on_epoch": 3}, "on_epoch must be a function; received 3"),
    ],
)
def test_what_is_no_such_function_is_told_before_anything_starts(
    few_digits: Dataset, tmp_path: Path, looking: dict[str, Any], told: str
) -> None:
    with pytest.raises(fl.ExperimentError, match=told):
        fit(few_digits, tmp_path / "run", **looking)
    assert not (tmp_path / "run").exists()


def test_where_processes_train_they_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    run: Any = fl.run  # whose types refuse it too
    with pytest.raises(fl.ExperimentError, match="folds: on_epoch and on_step"):
        run({"data": {"source": "digits"}}, folds=3, on_epoch=lambda p: None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(fl.ExperimentError, match="2 processes train one model"):
        Callbacks(on_step=lambda p: None)


def test_the_time_of_a_slow_function_is_not_the_trainings(few_digits: Dataset, tmp_path: Path) -> None:
    run = fit(few_digits, tmp_path / "run", on_step=lambda p: time.sleep(0.05) if p.epoch == 2 else None)
    assert run.folder.history["seconds"][1] < 0.05 * 6


def test_the_classifier_takes_them_in_fit(digits: Dataset) -> None:
    images, labels = digits.splits["train"].pixels[:200], digits.splits["train"].labels[:200]
    net = fl.Classifier("mlp-128", epochs=5).fit(images, labels, on_epoch=lambda p: fl.STOP if p.epoch == 2 else None)
    assert net.n_iter_ == 2
    assert net.predict(images[:3]).shape == (3,)

    def fail(progress: fl.StepProgress) -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError) as caught:
        net.fit(images, labels, on_step=fail)
    assert [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)][1:] == ["fit", "fail"]
    assert not hasattr(net, "weights_")
