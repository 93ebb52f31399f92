"""`firstlight study`: several experiments compared fairly."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstlight.cli import tables
from firstlight.cli.commands import Open, Quiet, console, show
from firstlight.errors import ExperimentError

if TYPE_CHECKING:
    from firstlight.records.study_folder import StudyFolder

Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="How many runs train at the same time, each in a process. Default: 1, or the whole cluster."
    ),
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads per run. Default: the cores are divided among the runs.")
]


def study(
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE_OR_NAME", help="A study file, or the name of a study that --list shows.", show_default=False
        ),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the studies that come with firstlight.")] = False,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Use this many seeds, starting at 0, instead of those of the file.")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="N-fold cross-validation of each run, as by firstlight run --folds.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this run of the study; may be repeated.")
    ] = None,
    workers: Workers = None,
    threads: Threads = None,
    backend: Annotated[str, typer.Option(help="loky: this machine; dask or ray: a cluster.")] = "loky",
    address: Annotated[str | None, typer.Option(help="The address of the cluster, such as tcp://host:8786.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder of the study. Default: runs/NAME.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the numbers to a .md, .tex or .csv; without a study, those of all studies in runs/ (or "
            "--out).",
        ),
    ] = None,
    open_: Open = False,
    quiet: Quiet = False,
) -> None:
    """Train the missing runs of a study and write its report. A stopped study continues."""
    from firstlight import api, report

    if listed:
        _print_list()
        return
    if table is not None:
        report.must_be_a_table(table)
    if study is None and table is not None:
        _write_table(out or api.RUNS, table)
        return
    if study is None:
        raise ExperimentError(
            "Give the file or the name of a study; firstlight study --list lists those that come with it."
        )
    done = carried_out(
        lambda: api.run_study(
            study,
            seeds=seeds,
            folds=folds,
            only=only or (),
            out=out,
            workers=workers,
            threads=threads,
            backend=backend,  # type: ignore[arg-type]
            address=address,
            console=console(quiet=quiet),
        )
    )
    page = print_study(done, quiet=quiet)
    if table is not None:
        _write_table(done.path, table)
    elif not quiet and page.exists():
        typer.echo(f"Next: add --table table.tex (or .csv, .md) for the numbers, or firstlight view {done.path}")
    if open_ and page.exists():
        show(page)


def carried_out(do: Callable[[], StudyFolder]) -> StudyFolder:
    """What `do` makes of a study; Ctrl-C and SIGTERM stop it with its workers."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return do()
    except KeyboardInterrupt:
        typer.echo("Stopped. What is complete is kept; the same command continues.", err=True)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def print_study(done: StudyFolder, *, quiet: bool = False, as_json: bool = False) -> Path:
    """Say what came of a study, or as JSON where its runs and their numbers are; return the page of its report."""
    page = done.path / "report.html"
    if as_json:
        runs = {
            f"{entry.name}/{run.path.relative_to(done.path / entry.name).as_posix()}": run.result.test.accuracy
            for entry in done.entries
            for run in done.finished(entry).values()
        }
        typer.echo(json.dumps({"path": str(done.path), "report": str(page), "test_accuracy": runs}))
    elif quiet:
        typer.echo(page)
    elif page.exists():
        tables.print_outcome(console(), done)
        for found in (page, *sorted(done.path.glob("search-*/report.html"))):
            typer.echo(f"Report: {found}")
    return page


def _write_table(root: Path, table: Path) -> None:
    """Write the numbers of the study in a folder, or of those in its folders; what could not be read is told."""
    from firstlight import api, report

    page = api.study_table(root, table)
    for study in api.studies(root):
        for run, why in report.lost(study).items():
            typer.echo(f"{study.name}, {run}: {why}", err=True)
    typer.echo(page)


def _print_list() -> None:
    from rich.console import Console
    from rich.table import Table

    from firstlight.experiments import packaged

    table = Table("name", "shows", box=None, header_style="bold")
    table.columns[0].no_wrap = True
    for name, title in packaged().items():
        table.add_row(name, title)
    Console(highlight=False).print(table)
