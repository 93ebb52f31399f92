"""How a run is watched: a live display on a terminal, one plain line an epoch elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from firstlight import processes

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
