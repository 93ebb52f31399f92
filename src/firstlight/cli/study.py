"""`firstlight study`: several experiments compared fairly."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from firstlight.errors import ExperimentError


def study(
    study: Annotated[
        str | None,
        typer.Argument(metavar="[FILE_OR_NAME]", help="A study file, or one that --list names.", show_default=False),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the studies that come with firstlight.")] = False,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="So many seeds, 0 and up; those of the file otherwise.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="This run of the study alone; may be given again.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Runs at a time, in processes of their own; 1 otherwise, or a whole cluster."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Of each run; the cores shared out otherwise.")] = None,
    backend: Annotated[str, typer.Option(help="loky: this machine; dask or ray: a cluster.")] = "loky",
    address: Annotated[str | None, typer.Option(help="Of the cluster, such as tcp://host:8786.")] = None,
    out: Annotated[Path | None, typer.Option(help="The study's folder; runs/<name> otherwise.")] = None,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE.md", help="Write a table of all studies below runs/ (or --out).")
    ] = None,
) -> None:
    """Do the runs of a study that are missing, side by side, and write its report. A stopped study goes on."""
    from firstlight import api

    if listed:
        _print_list()
        return
    if table is not None:
        _print_table(out or api.RUNS, table)
        return
    if study is None:
        raise ExperimentError(
            "Which study? Give a file or a name; firstlight study --list has those that come with it."
        )
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # its workers must end with it
    try:
        done = api.run_study(
            study,
            seeds=seeds,
            only=only or (),
            out=out,
            workers=workers,
            threads=threads,
            backend=backend,  # type: ignore[arg-type]
            address=address,
        )
    except KeyboardInterrupt:
        typer.echo("Stopped. What is complete is kept; the same command goes on.", err=True)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)
    for page in (done.path / "report.html", *sorted(done.path.glob("search-*/report.html"))):
        if page.exists():
            typer.echo(f"Report: {page}")


def _print_table(root: Path, table: Path) -> None:
    from firstlight import api, report
    from firstlight.runs import STUDY, StudyFolder

    page = api.study_table(root, table)
    for record in sorted(root.glob(f"*/{STUDY}")):
        study = StudyFolder.open(record.parent)
        for run, why in report.lost(study).items():
            typer.echo(f"{study.name}, {run}: {why}", err=True)
    typer.echo(page)


def _print_list() -> None:
    from rich.console import Console
    from rich.table import Table

    from firstlight.study import packaged

    table = Table("name", "shows", box=None, header_style="bold")
    table.columns[0].no_wrap = True
    for name, title in packaged().items():
        table.add_row(name, title)
    Console(highlight=False).print(table)
