"""How runs and searches are watched: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeRemainingColumn

from firstlight import processes
from firstlight.evaluation.metrics import is_percent
from firstlight.progress import Watcher
from firstlight.records.search_folder import TrialRecord, shown
from firstlight.report.format import decimal, percent

WIDTH = 8  # of the column of a metric, at least
REFRESH = 0.1  # seconds between two updates of the live display


def _animates(console: Console) -> bool:
    """Whether a bar that moves can be seen. FORCE_COLOR, as Jupyter sets it for commands, asks for colours alone."""
    return console.is_terminal and (console.file.isatty() or not os.environ.get("FORCE_COLOR"))


class ConsoleProgress(Watcher):
    """Lines on a console, with a bar below them on a terminal; a context manager, so that the bar is taken down."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: Progress | None = None
        self.task = TaskID(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def note(self, text: str) -> None:
        """See `Watcher.note`."""
        self.line(text, style="dim")

    def step(self, what: str, done: int, total: int | None) -> None:
        """See `Watcher.step`."""
        if self.bar is None:
            self.show_bar(description=what, completed=done, total=total)
        else:
            self.bar.update(self.task, description=what, completed=done, total=total)
            if total is None:
                self.bar.tasks[0].total = None  # for `update`, that means the total it had

    def line(self, text: str, style: str | None = None) -> None:
        """A line as it stands, however long."""
        if not self.console.quiet:  # which would typeset it all the same
            self.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def show_bar(self, *columns: ProgressColumn, description: str = "", **task: Any) -> None:
        """Show a bar where that can be seen: of what `columns` say, or of how far it is and the time that is left."""
        if self.console.quiet or not _animates(self.console):
            return
        columns = columns or (TextColumn("{task.description}"), BarColumn(bar_width=None), TimeRemainingColumn())
        self.bar = Progress(*columns, console=self.console, transient=True)
        self.task = self.bar.add_task(description, **task)
        self.bar.start()


class TrainingProgress(ConsoleProgress):
    """A watcher that writes to a console. Of several processes that train together, only the first one writes."""

    def __init__(self, console: Console) -> None:
        super().__init__(console if processes.is_main() else Console(quiet=True))
        self.epochs = self.images = self.done = 0
        self.told = False  # whether the columns have their titles
        self.further: list[str] = []  # columns of metrics
        self.began = self.refreshed = 0.0

    def training_started(self, epochs: int, images: int, done: int) -> None:
        """See `Watcher.training_started`."""
        self.epochs, self.images, self.done = epochs, images, done
        self.began = time.perf_counter()
        self.show_bar(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=None),
            TextColumn("loss {task.fields[loss]:.4f}  {task.fields[rate]:,.0f} images/s"),
            TimeRemainingColumn(),
            total=epochs * images,
            completed=done * images,
            epoch=done + 1,
            epochs=epochs,
            loss=0.0,
            rate=0.0,
        )

    def batch_done(self, images: int, loss: float) -> None:
        """See `Watcher.batch_done`."""
        now = time.perf_counter()
        if self.bar is None or now - self.refreshed < REFRESH:
            return
        rate = images / max(now - self.began, 1e-9)
        self.bar.update(
            self.task, completed=self.done * self.images + images, epoch=self.done + 1, loss=loss, rate=rate
        )
        self.refreshed = now

    def epoch_done(self, row: dict[str, float], best: bool) -> None:
        """See `Watcher.epoch_done`."""
        kinds = [kind for kind in ("", "val_") if f"{kind}loss" in row]
        place = len(f"{self.epochs}")
        if not self.told:
            titles = (f"{f'{kind}loss':>8}  {f'{kind}accuracy':>12}" for kind in kinds)
            self.further = [
                name for name in row if name.startswith("val_") and name not in ("val_loss", "val_accuracy")
            ]
            further = (f"{name:>{max(len(name), WIDTH)}}" for name in self.further)
            self.line("  ".join([" " * (7 + 2 * place), *titles, *further]).replace("val_", "val "), style="bold")
            self.told = True
        numbers = (f"{row[f'{kind}loss']:8.4f}  {percent(row[f'{kind}accuracy'], 2):>12}" for kind in kinds)
        further = (f"{_metric(name, row.get(name)):>{max(len(name), WIDTH)}}" for name in self.further)
        end = [f"{row['seconds']:5.1f} s", *(["best so far"] if best else [])]
        self.line("  ".join([f"epoch {row['epoch']:{place}.0f}/{self.epochs}", *numbers, *further, *end]))
        self.done += 1
        if self.bar is not None:
            rate = self.images / max(time.perf_counter() - self.began, 1e-9)
            epoch = min(self.done + 1, self.epochs)
            self.bar.update(self.task, completed=self.done * self.images, epoch=epoch, loss=row["loss"], rate=rate)
        self.began = time.perf_counter()


def _metric(column: str, value: float | None) -> str:
    return percent(value, 2) if is_percent(column) else decimal(value)


class SearchProgress(ConsoleProgress):
    """A watcher that writes to a console: a line per trial, and a bar over all of them on a terminal."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.monitor, self.sign, self.trials = "", 1, 0
        self.best: TrialRecord | None = None
        self.done = 0

    def search_started(self, monitor: str, maximize: bool, trials: int, done: Sequence[TrialRecord]) -> None:
        """See `Watcher.search_started`."""
        self.monitor, self.sign, self.trials = monitor, 1 if maximize else -1, trials
        for trial in done:
            self._count(trial)
        if done:
            self.note(f"{len(done)} of {trials} trials were done before{self._best()}.")
        self.step(self._title(), self.done, trials)

    def trial_done(self, trial: TrialRecord) -> None:
        """See `Watcher.trial_done`."""
        self._count(trial)
        value = "" if trial.value is None else f"{self.monitor} {trial.value:.4f}"
        ends = {"pruned": f"stopped after epoch {trial.epochs}", "failed": f"failed: {trial.reason}"}
        values = "  ".join(f"{key} {shown(value)}" for key, value in trial.values.items())
        place = f"trial {trial.number}/{self.trials}"
        parts = (place, value, values, f"{trial.seconds:.1f} s", ends.get(trial.state, ""))
        self.line("  ".join(filter(None, parts)) + ("  best so far" if trial == self.best else ""))
        self.step(self._title(), self.done, self.trials)

    def _count(self, trial: TrialRecord) -> None:
        self.done += 1
        if trial.state == "complete" and trial.value is not None:
            held = None if self.best is None else self.best.value
            if held is None or self.sign * trial.value > self.sign * held:
                self.best = trial

    def _title(self) -> str:
        return f"{self.done} of {self.trials} trials{self._best()}"

    def _best(self) -> str:
        if self.best is None or self.best.value is None:
            return ""
        return f", the best {self.best.value:.4f} (trial {self.best.number})"
