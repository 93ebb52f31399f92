"""`firstlight compare`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstlight.cli import tables
from firstlight.cli.commands import Open, Quiet, console, show
from firstlight.cli.run import Pdf
from firstlight.errors import RunError

if TYPE_CHECKING:
    from firstlight.records.run_folder import RunFolder

LONGEST = 80  # characters of a name made of those of the runs


def compare(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN",
            help="Folders of runs, or folders that contain several, such as the runs of one net with different seeds.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="The file to write. Default: A-vs-B.html beside the first run."
        ),
    ] = None,
    pdf: Pdf = None,
    title: Annotated[str, typer.Option(help="The title of the page.")] = "Runs compared",
    open_: Open = False,
    quiet: Quiet = False,
) -> None:
    """Compare runs: accuracies, which differences are significant, curves, confusion matrices.

    Runs that differ in nothing but seed or fold count as one, with mean and standard deviation.
    """
    from firstlight import report

    found = [run for path in paths for run in _runs_at(path)]
    if len(found) < 2:
        raise RunError(
            f"There is one run to compare, {found[0].path}: give two or more. Its own report: firstlight report "
            f"{found[0].path}"
            if found
            else "None of these runs has a result yet."
        )
    compared = report.Comparison(found, title)
    page = out or paths[0].parent / f"{_name(paths)}.{'pdf' if pdf else 'html'}"
    replaced = page.exists()
    report.write(compared, page, pdf=pdf)
    if quiet:
        typer.echo(page)
    else:
        tables.print_outcome(console(), compared)
        typer.echo(f"Report: {page}{' (an earlier one was replaced)' if replaced else ''}")
    if open_:
        show(page)


def _name(paths: Sequence[Path]) -> str:
    """A name for the comparison of what lies at `paths`."""
    names = [re.sub(r"[^\w.+=-]+", "-", path.resolve().name) for path in paths]
    whole = "-vs-".join(names)
    return whole if len(whole) <= LONGEST else f"{names[0][:LONGEST]}-vs-{len(names) - 1}-others"


def _runs_at(path: Path) -> list[RunFolder]:
    """The run at `path`, or those right below it, whatever they are called, or over folds, by seed and name."""
    from firstlight.records import run_folder

    files = [*path.glob(f"*/{run_folder.EXPERIMENT}")] or [*path.glob(f"seed-*/fold-*/{run_folder.EXPERIMENT}")]
    places = [file.parent for file in files]
    if (path / run_folder.EXPERIMENT).is_file() or not places:
        return [run_folder.RunFolder.open(path)]
    runs = [run_folder.RunFolder.open(place) for place in places]
    found = sorted(runs, key=lambda run: (run.experiment.seed, run.name))
    for run in found:
        if not run.finished:
            typer.echo(f"{run.path} has no result yet and is left out.", err=True)
    return [run for run in found if run.finished]
