"""`firstlight export`: a trained model as a file that other programs use."""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstlight.cli.commands import FORMATS, Json
from firstlight.cli.run import OwnData, opened_classifier
from firstlight.errors import ExperimentError, FirstlightError, nearest
from firstlight.text import listed

if TYPE_CHECKING:
    from firstlight.export import Format
    from firstlight.records.exports import ExportRecord

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only the path of the export, and errors.")]


def export(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN",
            help="The folder of a run, or of several; or STUDY/NAME, to export its nets as an ensemble.",
            show_default=False,
        ),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="FORMAT", help=f"{FORMATS}.", show_default=False)] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            help="The file to write, or the folder for several files or runs. Default: in the run's folder.",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="TYPE", help="html: float16, float32, or auto (default), the first of them that agrees."),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="c: weights and activations as int8, calibrated on training images.")
    ] = False,
    most_loss: Annotated[
        float | None,
        typer.Option(
            "--most-loss",
            metavar="POINTS",
            help="c: the accuracy that --int8 may lose, in percentage points. Default: 1.",
        ),
    ] = None,
    data: OwnData = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write a trained model in a format that other programs use, verified on all test images of the run.

    Nothing is written where the export gives another class than firstlight for one of them, or a probability that
    differs by more than 1e-4. Of several runs, the others are written all the same, and the exit code is 1. Without
    --to, the formats are listed.
    """
    options = {
        name: value
        for name, value in (("weights", weights), ("int8", int8 or None), ("most_loss", most_loss))
        if value is not None
    }
    if to is None:
        if out is not None or options:
            raise ExperimentError("Name a format with --to. firstlight export lists them.")
        _list(as_json)
        return
    if not paths:
        raise ExperimentError(f"Name the folder of a run: firstlight export RUN --to {to}")
    form = _format(to, options)
    places = _places(paths, form, out)
    failed = False
    for path, place in zip(paths, places, strict=True):
        try:
            home, record = _exported(path, to, place, data, options, quiet)
        except FirstlightError as error:
            if len(paths) == 1:
                raise
            failed = True
            typer.echo(f"firstlight: {path}: {error}", err=True)
        else:
            _print(home, record, quiet, as_json)
    if failed:
        raise typer.Exit(1)


def _list(as_json: bool) -> None:
    """The formats that there are."""
    from firstlight import export

    formats = export.FORMATS.items()
    if as_json:
        typer.echo(json.dumps([{"name": name, "title": form.title, "about": form.about} for name, form in formats]))
        return
    width = max(map(len, export.FORMATS))
    for name, form in formats:
        typer.echo(f"{name:{width}}  {form.about}")
    typer.echo("To export a run: firstlight export RUN --to FORMAT")


def _format(to: str, options: Mapping[str, Any]) -> type[Format]:
    """The format that is asked for. Raises ExperimentError for an unknown one, or for an option of another."""
    from firstlight import export

    if to not in export.FORMATS:
        raise ExperimentError(f"--to {to}: there is no such format. {nearest(to, export.FORMATS)}")
    for option in options:
        having = [name for name, form in export.FORMATS.items() if option in {one.name for one in fields(form)}]
        if to not in having:
            raise ExperimentError(f"--{option.replace('_', '-')} is an option of {listed(having)}, and not of {to}.")
    return export.FORMATS[to]


def _places(paths: Sequence[Path], form: type[Format], out: Path | None) -> list[Path | None]:
    """Where the export of each run goes; None for its own folder."""
    if out is None or len(paths) == 1:
        return [out] * len(paths)
    from firstlight.files import resolved

    names = [resolved(path).name for path in paths]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ExperimentError(
            f"--out {out}: several of the runs are called {listed(twice, most=3)}, and one would replace the other. "
            "Export them one by one, or without --out."
        )
    if out.is_file():
        raise ExperimentError(f"--out {out} is a file. For several runs, name a folder.")
    return [out / f"{name}{form.suffix}" for name in names]


def _exported(
    path: Path, to: str, place: Path | None, data: str | None, options: Mapping[str, Any], quiet: bool
) -> tuple[Path, ExportRecord]:
    """Export one run, with a bar on a terminal; the folder that the record lies in, and the record."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

    from firstlight.console import ConsoleProgress

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), TimeElapsedColumn())
    with _ended_in_order(), ConsoleProgress(Console(stderr=True, quiet=quiet)) as progress:
        progress.show_bar(*columns, description="opening the run", total=None)
        trained = opened_classifier(path, None, None)
        return trained.path, trained.export(to, place, data=data, watch=progress.step, **options)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let SIGTERM end what is run to verify an export, and remove its temporary files, as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print(path: Path, record: ExportRecord, quiet: bool, as_json: bool) -> None:
    from firstlight.records.codec import encode
    from firstlight.report.format import file_size

    place = path / record.path  # which is absolute where it lies elsewhere
    if as_json:
        typer.echo(json.dumps({**encode(record), "run": str(path), "path": str(place)}, ensure_ascii=False))
        return
    if not record.verified:
        typer.echo(f"Not verified: {record.not_verified}", err=True)
    if quiet:
        typer.echo(place)
        return
    if record.accuracy is not None:  # of its own, which the facts say
        typer.echo(f"Run by {record.runtime} on all {record.images:,} test images.")
    elif record.verified:
        differ = "" if record.largest_difference is None else f" (largest difference {record.largest_difference:.1e})"
        typer.echo(f"Verified by {record.runtime} on all {record.images:,} test images{differ}.")
    for name, text in record.facts.items():
        typer.echo(f"{name}: {text}")
    typer.echo(f"{record.title}: {place} ({file_size(record.bytes)})")
