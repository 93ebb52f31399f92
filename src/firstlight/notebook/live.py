"""Curves that grow in a notebook's cell while a run trains: what `live=True` shows."""

from __future__ import annotations

import importlib
import sys
from time import perf_counter
from types import TracebackType
from typing import Any

import numpy as np
from markupsafe import Markup

from firstlight.cautions import NOTE
from firstlight.notebook.cards import curves, latest
from firstlight.notebook.html import drawn, filled
from firstlight.progress import Watcher
from firstlight.report.document import Document, Numbers
from firstlight.report.format import count, counted, seconds

REFRESH = 0.25  # seconds between two updates, at least
SHARE = 0.1  # of the time of training that may go into drawing the curves, at most


def in_notebook() -> bool:
    """Whether this code runs in a Jupyter kernel. Where it does, IPython is loaded, and its shell has a kernel."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


class LiveCurves(Watcher):
    """A watcher that draws loss and accuracy in the cell, and tells how far it is; use it as a context manager.

    To draw both takes a tenth of a second, so that short epochs are drawn several at a time.
    """

    def __init__(self, title: str) -> None:
        """Show nothing yet; `title` says what is trained."""
        self.title = title
        self.history: dict[str, list[float]] = {}
        self.notes: list[str] = []
        self.best: int | None = None
        self.epochs = self.images = self.done = 0
        self.line = "preparing"
        self.share = 0.0
        self._handle: Any = None
        self._charts = Markup()
        self._stale = False
        self._began = self._epoch_began = perf_counter()
        self._next = self._next_drawing = 0.0  # before which nothing is shown, nothing drawn

    def __enter__(self) -> LiveCurves:
        self._handle = importlib.import_module("IPython.display").display(self, display_id=True)
        drawn((curves({"epoch": np.ones(1), "loss": np.ones(1), "accuracy": np.ones(1)}),))  # the first one takes long
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        took = seconds(perf_counter() - self._began)
        whole = counted(self.done, "epoch") if self.done == self.epochs else f"{self.done} of {self.epochs} epochs"
        why = "" if kind is None else str(error) or kind.__name__
        self.line = f"stopped after {whole}: {why}" if why else f"{whole} in {took}"
        self.share = self.done / max(1, self.epochs)
        self._next_drawing = 0.0
        self._update()

    def __repr__(self) -> str:
        return f"{self.title}: {self.line}"

    def _repr_html_(self) -> str:
        document = Document("Training", self.title, "", "", Numbers(latest(self.history)), ())
        contents = [("Learning", self._charts)] if self._charts else []
        return filled(document, contents, note=" · ".join([self.line, *self.notes]), progress=self.share)

    def note(self, text: str) -> None:
        """See `Watcher.note`. What is worth knowing stays; what is only being done is the line until the next."""
        if text.startswith(NOTE):
            self.notes.append(text)
        else:
            self.line = text
        self._update()

    def training_started(self, epochs: int, images: int, done: int) -> None:
        """See `Watcher.training_started`."""
        self.epochs, self.images, self.done = epochs, images, done
        self._began = self._epoch_began = perf_counter()
        self._tell(0)
        self._update()

    def batch_done(self, images: int, loss: float) -> None:
        """See `Watcher.batch_done`."""
        if perf_counter() >= self._next:
            self._tell(images)
            self._update()

    def epoch_done(self, row: dict[str, float], best: bool) -> None:
        """See `Watcher.epoch_done`."""
        for name, value in row.items():
            self.history.setdefault(name, []).append(value)
        if best and "val_loss" in row:
            self.best = round(row["epoch"])
        self.done += 1
        self._epoch_began = perf_counter()
        self._stale = True
        if self._epoch_began >= self._next:
            self._tell(0)
            self._update()

    def _tell(self, images: int) -> None:
        """Say how far it is: so many images of this epoch are done."""
        rate = images / max(perf_counter() - self._epoch_began, 1e-9)
        speed = f" · {count(round(rate))} images/s" if images else ""
        self.line = f"epoch {min(self.done + 1, self.epochs)} of {self.epochs}{speed}"
        self.share = (self.done + images / max(1, self.images)) / max(1, self.epochs)

    def _update(self) -> None:
        began = perf_counter()
        if self._stale and began >= self._next_drawing:
            self._charts = drawn((curves({name: np.array(v) for name, v in self.history.items()}, self.best),))
            self._stale = False
            now = perf_counter()
            self._next_drawing = now + (now - began) / SHARE
        self._handle.update(self)
        self._next = perf_counter() + REFRESH
