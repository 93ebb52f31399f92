"""What a user sees while a net learns."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from firstlight.console import ConsoleProgress, TrainingProgress

ROW = {"epoch": 1.0, "loss": 0.5, "accuracy": 0.25, "val_loss": 0.75, "val_accuracy": 0.125, "seconds": 2.0}


@pytest.fixture(autouse=True)
def _no_colours_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)


def shown(terminal: bool, epochs: int = 2) -> str:
    text = io.StringIO()
    with TrainingProgress(Console(file=text, force_terminal=terminal, width=120)) as display:
        display.note("a note")
        display.training_started(epochs, 100, 0)
        display.refreshed = float("-inf")
        display.batch_done(60, 0.625)
        for epoch in range(epochs):
            display.epoch_done(ROW | {"epoch": epoch + 1.0}, best=epoch == 0)
        if display.bar is not None:
            [task] = display.bar.tasks
            assert task.finished, "the bar reaches its end"
            display.bar.refresh()
    return text.getvalue()


def test_elsewhere_an_epoch_is_a_plain_line() -> None:
    assert shown(terminal=False).splitlines() == [
        "a note",
        "               loss      accuracy  val loss  val accuracy",
        "epoch 1/2    0.5000       25.00\u202f%    0.7500       12.50\u202f%    2.0 s  best so far",
        "epoch 2/2    0.5000       25.00\u202f%    0.7500       12.50\u202f%    2.0 s",
    ]


def test_on_a_terminal_a_bar_moves_along() -> None:
    text = shown(terminal=True)
    assert "images/s" in text
    assert "loss 0.5000" in text
    assert "epoch 2/2" in text


def test_where_only_colours_are_asked_for_no_bar_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command in a cell of a notebook: Jupyter asks for colours, and shows the output as a text."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    console = Console(file=io.StringIO())
    assert console.is_terminal
    with TrainingProgress(console) as display:
        display.training_started(1, 10, 0)
        assert display.bar is None


def test_without_validation_there_is_less_to_say() -> None:
    text = io.StringIO()
    with TrainingProgress(Console(file=text)) as display:
        display.training_started(1, 10, 0)
        display.epoch_done({"epoch": 1.0, "loss": 1.0, "accuracy": 0.5, "seconds": 0.1}, best=False)
    assert text.getvalue().splitlines() == [
        "               loss      accuracy",
        "epoch 1/1    1.0000       50.00\u202f%    0.1 s",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_of_the_bar_is_left_after_an_error(terminal: bool) -> None:
    def fail(display: TrainingProgress) -> None:
        with display:
            display.training_started(1, 10, 0)
            raise ZeroDivisionError

    display = TrainingProgress(Console(file=io.StringIO(), force_terminal=terminal))
    with pytest.raises(ZeroDivisionError):
        fail(display)
    assert display.bar is None


def test_a_quiet_console_is_left_alone_on_a_terminal_too() -> None:
    """No bar that nobody sees is drawn ten times a second, by a thread of its own."""
    text = io.StringIO()
    before = threading.active_count()
    with TrainingProgress(Console(file=text, force_terminal=True, quiet=True)) as display:
        display.note("a note")
        display.training_started(1, 10, 0)
        display.batch_done(5, 0.5)
        assert (display.bar, threading.active_count()) == (None, before)
        display.epoch_done(ROW, best=True)
    assert text.getvalue() == ""


def test_a_bar_forgets_a_total_that_is_no_longer_known() -> None:
    with ConsoleProgress(Console(file=io.StringIO(), force_terminal=True)) as progress:
        progress.step("counted", 3, 10)
        assert progress.bar is not None
        assert progress.bar.tasks[0].total == 10
        progress.step("not counted", 0, None)
        assert (progress.bar.tasks[0].total, progress.bar.tasks[0].description) == (None, "not counted")
