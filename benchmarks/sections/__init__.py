"""What is measured, section by section. Each module's functions take Options and return plain values for the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from benchmarks.contestants import PEERS
from firstlight.types import Json


@dataclass(frozen=True)
class Options:
    """How much is measured.

    rounds  counted rounds of what takes less than a second
    quick   the least that shows that it works, no measurement
    peers   whom firstlight is measured beside
    seeds   runs of a fast study
    begun   where the cases of a section are kept until all of them are measured
    """

    rounds: int = 7
    quick: bool = False
    peers: tuple[str, ...] = PEERS
    seeds: int = 5
    begun: Path | None = None


class Section(NamedTuple):
    """A function, where it is, and whether it belongs to what `python -m benchmarks` does without being asked."""

    module: str
    function: str
    usual: bool = True

    def measure(self, options: Options) -> Json:
        """Do it."""
        function: Callable[[Options], Json] = getattr(
            import_module(f"benchmarks.sections.{self.module}"), self.function
        )
        return function(options)


SECTIONS = {
    "steps": Section("training", "steps"),
    "large": Section("training", "large"),
    "prediction": Section("training", "prediction"),
    "single": Section("training", "single"),
    "run": Section("commands", "whole_run"),
    "epoch": Section("commands", "epoch"),
    "workers": Section("commands", "workers"),
    "startup": Section("commands", "startup"),
    "batches": Section("curves", "batches"),
    "threads": Section("curves", "threads"),
    "pair": Section("curves", "pair"),
    "sizes": Section("curves", "sizes"),
    "augment": Section("augmentation", "augment"),
    "embed": Section("embedding", "embed"),
    "serve": Section("serving", "serve"),
    "engines": Section("training", "engines", usual=False),
    "recipes": Section("commands", "recipes", usual=False),
    "fashion-fast": Section("records", "fashion_fast", usual=False),
    "mnist-fast": Section("records", "mnist_fast", usual=False),
    "cifar-fast": Section("records", "cifar_fast", usual=False),
}
