"""What is told how work comes along: one protocol, for a terminal, plain lines, a run's folder and a notebook."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from firstlight.records.search_folder import TrialRecord

Step = Callable[[str, int, int | None], object]  # `Watcher.step`, for works that tell nothing else


def unwatched(what: str, done: int, total: int | None) -> None:
    """A `Step` that tells nobody."""


class Watcher:
    """Is told of the events of a training, a search or another long work; does nothing about those not overridden."""

    def note(self, text: str) -> None:
        """Something that the user should know now."""

    def step(self, what: str, done: int, total: int | None) -> None:
        """So much of the work is done: `what` says which part, or how far it is; without a total nobody knows."""

    def training_started(self, epochs: int, images: int, done: int) -> None:
        """Training begins: so many epochs of so many images, of which `done` epochs were done before."""

    def batch_done(self, images: int, loss: float) -> None:
        """So many of this epoch's images are done, at this running mean of the loss."""

    def epoch_done(self, row: dict[str, float], best: bool) -> None:
        """An epoch is done; its row of the history."""

    def search_started(self, monitor: str, maximize: bool, trials: int, done: Sequence[TrialRecord]) -> None:
        """A search of so many trials begins, judged by `monitor`; `done` were done before."""

    def trial_done(self, trial: TrialRecord) -> None:
        """A trial has ended."""
