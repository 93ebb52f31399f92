"""The loop, on a session that does as it is told."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from firstlight.engines import EpochMetrics
from firstlight.errors import TrainingError
from firstlight.losses import CrossEntropy
from firstlight.progress import Watcher
from firstlight.schedules import Constant, Cosine
from firstlight.training import Checkpoint, TrainingConfig, TrainingResult, train
from firstlight.types import Array, Images

IMAGES = Images(
    np.zeros((4, 1, 1, 1), np.uint8), np.array([0, 1, 0, 1]), np.array(["a", "b", "c", "d"]), ("none", "one")
)


class Scripted:
    """A session whose only weight counts epochs, and whose validation goes as the script says."""

    def __init__(self, right: list[int], after: Callable[[int], None] = lambda epoch: None) -> None:
        self.weight = np.zeros(1, np.float32)
        self.right, self.after = right, after
        self.rates: list[float] = []

    def warm_up(self, batch_size: int) -> None: ...

    def train_epoch(
        self, epoch: int, batch_size: int, rates: Array, progress: Callable[[int, float], None]
    ) -> EpochMetrics:
        self.weight += 1
        self.rates += list(rates)
        self.after(epoch)
        progress(4, 0.5)
        return EpochMetrics(1.0 / (epoch + 1), 0.5)

    def outputs(self, images: Images) -> Array:
        """Logits that get the first `right` images right."""
        correct = np.arange(4) < self.right[int(self.weight[0]) - 1]
        signs = np.where(correct, 1, -1) * np.where(images.labels == 1, 1, -1)
        return np.stack([-signs, signs], axis=1).astype(np.float32)

    def vector(self) -> Array:
        return self.weight.copy()

    def state(self) -> dict[str, Array]:
        return {"steps": self.weight.copy()}

    def restore(self, vector: Array, state: dict[str, Array] | None = None) -> None:
        self.weight[:] = vector

    def agree(self, stop: bool) -> bool:
        return stop


class Recorder(Watcher):
    def __init__(self) -> None:
        self.said: list[Any] = []

    def training_started(self, epochs: int, images: int, done: int) -> None:
        self.said.append((epochs, images, done))

    def epoch_done(self, row: dict[str, float], best: bool) -> None:
        self.said.append(best)


def go(session: Any, validation: Images | None = IMAGES, start: Checkpoint | None = None, **course: Any) -> Any:
    settings: dict[str, Any] = {"epochs": len(session.right), "batch_size": 2, "schedule": Constant(), "lr": 0.1}
    saved: list[Checkpoint] = []
    recorder = Recorder()
    outcome = train(
        session,
        CrossEntropy(),
        TrainingConfig(**(settings | course)),
        IMAGES,
        validation,
        penalty=lambda vector: 0.25,
        watcher=recorder,
        save=saved.append,
        start=start,
    )
    return outcome, saved, recorder


def test_the_best_weights_by_validation_are_the_ones_kept() -> None:
    outcome, saved, recorder = go(Scripted([1, 3, 2, 3, 0]))
    assert (outcome.best, outcome.vector[0], outcome.status) == (2, 2, "finished")
    assert recorder.said == [(5, 4, 0), True, True, False, False, False]
    assert [row["val_accuracy"] for row in outcome.history] == [0.25, 0.75, 0.5, 0.75, 0]
    assert outcome.history[0]["penalty"] == 0.25
    assert [checkpoint.progress.epoch for checkpoint in saved] == [1, 2, 3, 4, 5]


def test_the_last_weights_where_asked_for_or_nothing_to_judge_by() -> None:
    outcome, *_ = go(Scripted([1, 3, 2]), restore_best=False)
    assert (outcome.best, outcome.vector[0]) == (2, 3)
    outcome, *_ = go(Scripted([1, 3, 2]), validation=None)
    assert (outcome.best, outcome.vector[0]) == (3, 3)
    assert "val_loss" not in outcome.history[0]


class Averaged(Scripted):
    """The average of its weights is two epochs behind."""

    def state(self) -> dict[str, Array]:
        return {"average": np.maximum(self.weight - 2, 1)}


def test_the_average_is_judged_and_kept_and_training_goes_on_from_the_weights() -> None:
    outcome, saved, _ = go(Averaged([1, 3, 2, 0, 0]))
    assert [row["val_accuracy"] for row in outcome.history] == [0.25, 0.25, 0.25, 0.75, 0.5]
    assert (outcome.best, outcome.weights, outcome.vector[0]) == (4, 4, 2)
    assert [checkpoint.vector[0] for checkpoint in saved] == [1, 2, 3, 4, 5]
    assert [checkpoint.best[0] for checkpoint in saved] == [1, 1, 1, 2, 2]
    outcome, *_ = go(Averaged([1, 3, 2, 0, 0]), restore_best=False)
    assert outcome.vector[0] == 3


def test_early_stopping_waits_as_long_as_asked() -> None:
    outcome, *_ = go(Scripted([1, 3, 2, 2, 2, 4]), patience=2)
    assert (outcome.status, len(outcome.history), outcome.best) == ("stopped early", 4, 2)


@pytest.mark.parametrize(("monitor", "best"), [("val_accuracy", 2), ("val_loss", 1)])
def test_each_monitor_judges_by_its_own_column(monitor: str, best: int) -> None:
    """The second epoch gets more right, and is so sure of its mistakes that its loss is worse."""

    class Sure(Scripted):
        def outputs(self, images: Images) -> Array:
            return super().outputs(images) * (0.1 if self.weight[0] == 1 else 30)

    outcome, *_ = go(Sure([2, 3]), monitor=monitor)
    assert outcome.best == best


def test_weights_that_are_not_finite_after_the_last_step_are_not_kept() -> None:
    session = Scripted([1, 1])

    def spoil(epoch: int) -> None:
        if epoch == 1:
            session.weight[:] = np.nan

    session.after = spoil
    outcome, saved, _ = go(session, validation=None)
    assert (outcome.status, outcome.weights, outcome.vector[0]) == ("diverged", 1, 1)
    assert "overflowed in epoch 2" in outcome.because
    assert len(saved) == 1


def test_going_on_from_any_checkpoint_ends_the_same() -> None:
    script = [1, 3, 2, 2, 4, 3]
    whole, saved, _ = go(Scripted(script), schedule=Cosine())
    for checkpoint in saved:
        again, _, recorder = go(Scripted(script), start=checkpoint, schedule=Cosine())
        assert _without_seconds(again) == _without_seconds(whole)
        assert recorder.said[0] == (6, 4, checkpoint.progress.epoch)


def _without_seconds(outcome: TrainingResult) -> Any:
    history = [{name: value for name, value in row.items() if name != "seconds"} for row in outcome.history]
    return history, outcome.best, outcome.vector.tolist(), outcome.status


def test_the_schedule_reaches_every_step() -> None:
    session = Scripted([1, 1])
    go(session, schedule=Cosine(), lr=1.0)
    assert len(session.rates) == 4
    assert session.rates == sorted(session.rates, reverse=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_or_the_end_of_the_machine_keeps_what_was_learnt(number: signal.Signals) -> None:
    def press(epoch: int) -> None:
        if epoch == 2:
            os.kill(os.getpid(), number)

    handlers = [signal.getsignal(known) for known in (signal.SIGINT, signal.SIGTERM)]
    outcome, *_ = go(Scripted([1, 3, 2, 2, 2], press))
    assert (outcome.status, len(outcome.history), outcome.vector[0]) == ("interrupted", 2, 2)
    assert [signal.getsignal(known) for known in (signal.SIGINT, signal.SIGTERM)] == handlers, "the caller's are back"


def test_a_process_stops_with_the_others_and_not_before() -> None:
    """Ctrl-C reaches this process in epoch 2; all agree to stop in epoch 4."""
    asked: list[bool] = []

    class Together(Scripted):
        def agree(self, stop: bool) -> bool:
            asked.append(stop)
            return self.weight[0] == 4

    outcome, *_ = go(Together([1] * 6, lambda epoch: os.kill(os.getpid(), signal.SIGINT) if epoch == 1 else None))
    assert (outcome.status, len(outcome.history)) == ("interrupted", 3)
    assert asked == [False, False, True, True, True, True, True]


def test_ctrl_c_in_the_first_epoch_keeps_the_weights_so_far() -> None:
    outcome, *_ = go(Scripted([1, 3], lambda epoch: os.kill(os.getpid(), signal.SIGINT)))
    assert (outcome.status, outcome.history, outcome.vector[0]) == ("interrupted", [], 1)


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)])
def test_a_second_ctrl_c_stops_at_once(numbers: tuple[signal.Signals, ...]) -> None:
    def press_twice(epoch: int) -> None:
        for number in numbers:
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        go(Scripted([1], press_twice))


def test_a_validation_loss_that_is_not_finite_stops_training() -> None:
    session = Scripted([1, 1])
    session.outputs = lambda images: np.full((4, 2), np.nan, np.float32)  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match="loss became nan after epoch 1"):
        go(session)
