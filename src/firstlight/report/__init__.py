"""The report: run folders in, one self-contained page or PDF out. Works with no engine and no network.

The way of a report: a subject (a run, runs side by side, a study, a search, a parity check) -> its records ->
`build_document` (the content) -> `html` or `pdf`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from firstlight.errors import FirstlightError, ReportError, RunError
from firstlight.files import write_bytes, write_text
from firstlight.records.rate_test import RateTest
from firstlight.records.run_folder import REPORT, RunFolder, require_other
from firstlight.records.search_folder import TuneFolder
from firstlight.records.study_folder import StudyFolder
from firstlight.report.render import vega_process

if TYPE_CHECKING:
    from firstlight.records.parity import Parity
    from firstlight.report.document import Document, Table

__all__ = [
    "Comparison",
    "Outcome",
    "build_document",
    "card",
    "lost",
    "must_be_a_table",
    "of_complete",
    "outcome",
    "render_html",
    "render_pdf",
    "write",
    "write_figures",
    "write_study_table",
]

_OF_A_CARD = b"\nlibrary_name: firstlight\n"  # a line at its top


@dataclass(frozen=True)
class Comparison:
    """Runs to be shown side by side; those that differ in nothing but the seed count as one."""

    runs: Sequence[RunFolder]
    title: str = "Runs compared"


Subject: TypeAlias = "RunFolder | StudyFolder | TuneFolder | Comparison | Parity | RateTest"


def build_document(subject: Subject, folder: Path | None = None) -> Document:
    """What the report of `subject` says, before it is drawn.

    folder  where the report will lie, for its links to other reports; its usual place where none is given
    Raises RunError where there is no result yet.
    """
    # the drawing libraries are loaded only now
    match subject:
        case RunFolder():
            from firstlight.records import run
            from firstlight.report.pages import run as page

            return page.document(run.read(subject))
        case StudyFolder():
            from firstlight.report.pages import study

            return study.document(subject, folder)
        case TuneFolder():
            from firstlight.report.pages import search

            return search.document(subject)
        case Comparison():
            from firstlight.records import run
            from firstlight.report.pages import comparison

            return comparison.document([run.read(one) for one in subject.runs], subject.title, folder or Path())
        case RateTest():
            from firstlight.report.pages import rate

            return rate.document(subject)
        case _:  # a check of parity, whose records nothing else needs
            from firstlight.report.pages import parity

            return parity.document(subject)


@dataclass(frozen=True)
class Outcome:
    """What came of runs side by side, for those who do not read the whole report.

    tables   accuracies, then, for each set of test images, which differences are significant
    verdict  the outcome in a few sentences
    """

    tables: tuple[Table, ...]
    verdict: str


def outcome(subject: StudyFolder | Comparison) -> Outcome:
    """What came of the runs of a study or of a comparison; errors as for `build_document`."""
    from firstlight.records import group, run
    from firstlight.report.pages import comparison
    from firstlight.report.sections import corrections, results, significance

    if isinstance(subject, StudyFolder):
        groups: Sequence[group.Group] = group.of_study(subject)
    else:
        groups = comparison.in_order(group.of_runs([run.read(one) for one in subject.runs]))
    tests = [significance.table(found) for task in group.tasks(groups) if (found := significance.numbers(task))]
    corrected = corrections.tables(groups)
    return Outcome((results.table(results.numbers(groups)), *tests, *corrected), comparison.verdict(groups))


def render_html(subject: Subject, folder: Path | None = None) -> str:
    """The report as an HTML page; `folder` and errors as for `build_document`."""
    from firstlight.report.render.html import page

    return page(build_document(subject, folder))


def card(run: RunFolder, licence: str = "", out: Path | None = None) -> str:
    """The card of a run's model in Markdown, with the metadata of model hubs at its top.

    licence  of the model, as hubs call it, such as "apache-2.0"; said to be unknown otherwise
    out      a file to write it to as well
    Raises RunError where there is no result yet, or where `out` is a file that is not a card.
    """
    from firstlight.records.run import read
    from firstlight.report.pages import card as page

    text = page.card(read(run), licence)
    if out is not None:
        _must_be_no_other(out)
        write_text(out, text)
    return text


def _must_be_no_other(out: Path) -> None:
    """Raise RunError where a card would replace what is none.

    Hubs want it to be called README.md, and so is the first page of every project.
    """
    require_other(out)
    if out.is_file():
        with out.open("rb") as file:
            if _OF_A_CARD not in file.read(1000):
                raise RunError(f"{out} exists already and is not a model card by firstlight. Name another file.")


def render_pdf(subject: Subject, folder: Path | None = None) -> bytes:
    """The report as a PDF; `folder` and errors as for `build_document`, and RunError where typst is not installed."""
    from firstlight.report.render.pdf import pdf

    return pdf(build_document(subject, folder))


def write(subject: Subject, out: Path | None = None, *, pdf: bool | None = None) -> Path:
    """Write the report of `subject` and return its path. What a study or search still lacks, its report says.

    out  the file, whose folder is made where there is none; report.html or report.pdf in the subject's own folder
         otherwise, which a comparison and a parity check do not have
    pdf  as a PDF; where this is not said, only if the file's name ends so
    Raises RunError where there is no result yet, or where the name of the file contradicts the format, and ReportError
    where the report as a whole cannot be made. A chart that cannot be drawn leaves a sentence, and a `ReportWarning`.
    """
    ending = "" if out is None else out.suffix.lower()
    if pdf is None:
        pdf = ending == ".pdf"
    elif ending in ((".html", ".htm") if pdf else (".pdf",)):
        raise RunError(f"{out} does not match the format: choose the other format, or another name.")
    if out is None:
        if not isinstance(subject, RunFolder | StudyFolder | TuneFolder):
            raise RunError(
                "A comparison, a parity check and a test of learning rates have no folder of their own: give a file "
                "for the report."
            )
        out = (subject.path / REPORT).with_suffix(".pdf" if pdf else ".html")
    require_other(out)
    vega_process.render.start()
    try:
        data = render_pdf(subject, out.parent) if pdf else render_html(subject, out.parent).encode()
    except (FirstlightError, OSError, MemoryError):
        raise
    except Exception as error:  # whatever a library meets: the numbers themselves are on disk
        raise ReportError(f"{out} cannot be made: {_why(error)}.") from error
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, data)
    return out


@contextmanager
def of_complete(what: str, path: Path) -> Iterator[None]:
    """Meanwhile the report in the folder `path` is written. Where it fails, that says that the folder is complete."""
    try:
        yield
    except (OSError, ReportError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
        raise ReportError(
            f"The {what} is complete in {path}, but its report cannot be written: {why}. "
            f"Fix that, then: firstlight report {path}"
        ) from error
    except KeyboardInterrupt:
        said = f"The {what} is complete in {path}, without its report. Write it: firstlight report {path}"
        print(said, file=sys.stderr)
        raise


def _why(error: Exception) -> str:
    """What a library met, in words."""
    if sys.flags.optimize > 1 and isinstance(error, AttributeError):
        return "the library of the charts, Altair, needs the docstrings that python -OO removes"
    text = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def write_figures(subject: Subject, folder: Path) -> list[Path]:
    """Write each chart of the report of `subject` as an SVG in `folder`, and return their paths.

    Errors as for `build_document`; of a chart that cannot be drawn there is a `ReportWarning`.
    """
    from firstlight.report.render.figures import figures

    made = figures(build_document(subject, folder))
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        write_text(folder / name, text)
    return [folder / name for name in made]


def lost(study: StudyFolder) -> dict[str, str]:
    """The runs of a study that were tried and of which its report has nothing, by name and seed: why that is so."""
    from firstlight.records import group

    return group.lost(study)


def must_be_a_table(path: Path) -> None:
    """Raise RunError where no table can be written by that name, before anything else is done."""
    from firstlight.report.study_table import must_be_a_format

    must_be_a_format(path.suffix)


def write_study_table(studies: Sequence[StudyFolder], path: Path, preface: str = "") -> Path:
    """Write the numbers of studies to `path`, and return it: Markdown, LaTeX or CSV, as its name ends.

    preface  what a page of Markdown begins with, instead of a legend at its end
    """
    from firstlight.report.study_table import study_table

    text = study_table(studies, path.parent, path.suffix, preface)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    return path
