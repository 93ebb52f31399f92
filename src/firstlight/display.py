"""How a run is watched: a live display on a terminal, one plain line an epoch elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from firstlight import processes

if TYPE_CHECKING:
    from firstlight.searches import TrialRecord
    from firstlight.study import Search

REFRESH = 0.1  # seconds between two updates of the live display


class Display:
    """A watcher that writes to a console; use it as a context manager, so that the live display is taken down.

    Of several processes that train together, only the first one writes.
    """

    def __init__(self, console: Console) -> None:
        self.console = console if processes.leads() else Console(quiet=True)
        self.bar: Progress | None = None
        self.task = TaskID(0)
        self.epochs = self.images = self.done = 0
        self.began = self.refreshed = 0.0

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def note(self, text: str) -> None:
        """See `Watcher.note`."""
        self.console.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)

    def started(self, epochs: int, images: int, done: int) -> None:
        """See `Watcher.started`."""
        self.epochs, self.images, self.done = epochs, images, done
        self.began = time.perf_counter()
        if self.console.is_terminal:
            self.bar = Progress(
                TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
                BarColumn(bar_width=None),
                TextColumn("loss {task.fields[loss]:.4f}  {task.fields[rate]:,.0f} images/s"),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self.task = self.bar.add_task(
                "", total=epochs * images, completed=done * images, epoch=done + 1, epochs=epochs, loss=0.0, rate=0.0
            )
            self.bar.start()

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
        shown = [f"{name} {row[name]:.4f}" for name in ("loss", "accuracy", "val_loss", "val_accuracy") if name in row]
        line = f"epoch {row['epoch']:.0f}/{self.epochs}  {'  '.join(shown)}  {row['seconds']:.1f} s"
        self.console.print(line + ("  *" if best else ""), highlight=False, soft_wrap=True)
        self.done += 1
        if self.bar is not None:
            rate = self.images / max(time.perf_counter() - self.began, 1e-9)
            epoch = min(self.done + 1, self.epochs)
            self.bar.update(self.task, completed=self.done * self.images, epoch=epoch, loss=row["loss"], rate=rate)
        self.began = time.perf_counter()


class SearchDisplay:
    """A `SearchWatcher` that writes to a console: a line a trial, and a bar over all of them on a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: Progress | None = None
        self.task = TaskID(0)
        self.search: Search | None = None
        self.best: TrialRecord | None = None
        self.done = 0

    def __enter__(self) -> SearchDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def note(self, text: str) -> None:
        """See `SearchWatcher.note`."""
        self.console.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)

    def began(self, search: Search, done: list[TrialRecord]) -> None:
        """See `SearchWatcher.began`."""
        self.search = search
        for trial in done:
            self._count(trial)
        if done:
            self.note(f"{len(done)} of {search.trials} trials were done before{self._best()}.")
        if self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), TimeRemainingColumn())
            self.bar = Progress(*columns, console=self.console, transient=True)
            self.task = self.bar.add_task(self._title(), total=search.trials, completed=self.done)
            self.bar.start()

    def trial_done(self, trial: TrialRecord) -> None:
        """See `SearchWatcher.trial_done`."""
        assert self.search is not None, "began comes first"
        self._count(trial)
        value = "" if trial.value is None else f"{self.search.monitor} {trial.value:.4f}"
        ends = {"pruned": f"stopped after epoch {trial.epochs}", "failed": f"failed: {trial.reason}"}
        values = "  ".join(f"{key} {shown(value)}" for key, value in trial.values.items())
        place = f"trial {trial.number}/{self.search.trials}"
        parts = (place, value, values, f"{trial.seconds:.1f} s", ends.get(trial.state, ""))
        line = "  ".join(filter(None, parts)) + ("  *" if trial == self.best else "")
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        if self.bar is not None:
            self.bar.update(self.task, description=self._title(), completed=self.done)

    def _count(self, trial: TrialRecord) -> None:
        assert self.search is not None, "began comes first"
        self.done += 1
        sign = 1 if self.search.maximise else -1
        if trial.state == "complete" and trial.value is not None:
            held = None if self.best is None else self.best.value
            if held is None or sign * trial.value > sign * held:
                self.best = trial

    def _title(self) -> str:
        assert self.search is not None, "began comes first"
        return f"{self.done} of {self.search.trials} trials{self._best()}"

    def _best(self) -> str:
        if self.best is None or self.best.value is None:
            return ""
        return f", the best {self.best.value:.4f} (trial {self.best.number})"


def shown(value: object) -> str:
    """A searched value in a line of text."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
