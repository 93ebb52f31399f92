"""A search carried out where it can be watched, with its report: by itself, or as a part of a study."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from rich.console import Console

from firstlight import report
from firstlight.errors import ReportError
from firstlight.experiments import Search
from firstlight.experiments.search.tune import tune
from firstlight.progress import SearchProgress
from firstlight.records import run_folder
from firstlight.records.search_folder import TuneFolder


def run_search(search: Search, out: Path, *, workers: int = 1, console: Console | None = None) -> TuneFolder:
    """Do the trials of a search that are missing in the folder `out`, and write its report, after Ctrl-C too.

    workers  trials at a time, each in a process of its own
    console  where progress goes; standard output where none is given
    Raises what `firstlight.experiments.search.tune.tune` raises.
    """
    with SearchProgress(console or Console()) as watcher:
        try:
            folder = tune(search, out, workers=workers, watcher=watcher)
        except KeyboardInterrupt:
            if (out / run_folder.RESULT).is_file():
                with suppress(ReportError):
                    report.write(TuneFolder(out))
            raise
    with report.of_complete("search", out):
        report.write(folder)
    return folder
