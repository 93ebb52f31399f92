"""The report: run folders in, one self-contained page out. Works with no engine and no network.

The way of a report: `RunFolder` -> `record` -> `sections` or `comparison` (the content) -> `html`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from firstlight.files import write_text
from firstlight.runs import REPORT, RunFolder, StudyFolder

if TYPE_CHECKING:
    from firstlight.agreement import Parity
    from firstlight.searches import TuneFolder

__all__ = [
    "render",
    "render_comparison",
    "render_parity",
    "render_study",
    "render_tuning",
    "write",
    "write_comparison",
    "write_parity",
    "write_study",
    "write_study_table",
    "write_tuning",
]


def render(run: RunFolder) -> str:
    """The report of one run as a page of HTML. Raises RunError where the run has no result yet."""
    from firstlight.report.html import page  # the drawing libraries are loaded only now
    from firstlight.report.record import read
    from firstlight.report.sections import document

    return page(document(read(run)))


def write(run: RunFolder) -> Path:
    """Write the run's report into its folder and return the path."""
    path = run.path / REPORT
    write_text(path, render(run))
    return path


def render_comparison(runs: Sequence[RunFolder], title: str, folder: Path = Path()) -> str:
    """The comparison of several runs as a page of HTML that will lie in `folder`; its links are relative to that."""
    from firstlight.report.comparison import document
    from firstlight.report.html import page
    from firstlight.report.record import read

    return page(document([read(run) for run in runs], title, folder))


def write_comparison(runs: Sequence[RunFolder], title: str, path: Path) -> Path:
    """Write the comparison to `path` and return it. Runs that have a report of their own are linked."""
    write_text(path, render_comparison(runs, title, path.parent))
    return path


def render_study(study: StudyFolder) -> str:
    """The report of a study as a page of HTML. Raises RunError where none of its runs has a result."""
    from firstlight.report.html import page
    from firstlight.report.study import document

    return page(document(study))


def write_study(study: StudyFolder) -> Path:
    """Write the study's report into its folder and return the path. It shows what is there, and says what is missing.

    Raises RunError where none of its runs has a result.
    """
    path = study.path / REPORT
    write_text(path, render_study(study))
    return path


def write_study_table(studies: Sequence[StudyFolder], path: Path) -> Path:
    """Write one page of Markdown with the numbers of several studies to `path`, and return it."""
    from firstlight.report.study_table import study_table

    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, study_table(studies))
    return path


def render_parity(parity: Parity) -> str:
    """The page of a parity check."""
    from firstlight.report.html import page
    from firstlight.report.parity import document

    return page(document(parity))


def write_parity(parity: Parity, path: Path) -> Path:
    """Write the page of a parity check to `path`, whose folder is made where there is none, and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, render_parity(parity))
    return path


def render_tuning(search: TuneFolder) -> str:
    """The report of a search as a page of HTML. Raises RunError where no trial is complete."""
    from firstlight.report.html import page
    from firstlight.report.tuning import document

    return page(document(search))


def write_tuning(search: TuneFolder) -> Path:
    """Write the search's report into its folder and return the path."""
    path = search.path / REPORT
    write_text(path, render_tuning(search))
    return path
