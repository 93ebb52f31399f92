"""How far training is within an epoch, told to those who watch the run's folder."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

from firstlight import memory
from firstlight.progress import Watcher
from firstlight.records.locked_folder import write_progress

EVERY = 1.0  # seconds, at least, between two tellings


class FolderProgress(Watcher):
    """A watcher that passes on what it is told, and tells the run's folder how far the epoch is."""

    def __init__(self, watcher: Watcher, out: Path) -> None:
        self.watcher, self.out = watcher, out
        self.epoch, self.images = 0, 0
        self.told = -EVERY
        self.memory = 0  # bytes, the most that was in use after an epoch

    def note(self, text: str) -> None:
        """See `Watcher.note`."""
        self.watcher.note(text)

    def training_started(self, epochs: int, images: int, done: int) -> None:
        """See `Watcher.training_started`."""
        self.epoch, self.images = done + 1, images
        self.watcher.training_started(epochs, images, done)

    def batch_done(self, images: int, loss: float) -> None:
        """See `Watcher.batch_done`."""
        self.watcher.batch_done(images, loss)
        if monotonic() - self.told >= EVERY:
            self.told = monotonic()
            write_progress(self.out, self.epoch, images, self.images, loss)

    def epoch_done(self, row: dict[str, float], best: bool) -> None:
        """See `Watcher.epoch_done`."""
        self.epoch += 1
        self.memory = max(self.memory, memory.in_use())
        self.watcher.epoch_done(row, best)
