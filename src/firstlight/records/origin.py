"""The run whose weights a run started from."""

from __future__ import annotations

from pathlib import Path

from firstlight.errors import FirstlightError
from firstlight.records.run_folder import RunFolder


def run_of(weights: Path) -> RunFolder | None:
    """The run that weights were taken from: its folder, or the file of weights in it; None for other files."""
    for place in (weights, weights.parent):
        if str(weights) not in ("", ".") and place.is_dir():
            try:
                return RunFolder.open(place)
            except FirstlightError:
                continue
    return None


def started_from(run: RunFolder) -> RunFolder | None:
    """The run whose weights a run started from; None where there is none, or where it is not there any more.

    Raises RunError where the model.json of `run` is missing or damaged.
    """
    start = run.model.start
    places = [] if start is None else [Path(place) for place in (start.location, start.origin) if place]
    return next((found for place in places if (found := run_of(place)) is not None), None)
