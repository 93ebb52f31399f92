"""`firstlight export`: a trained model as a file that other programs use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstlight.cli.commands import Json, RunPath
from firstlight.cli.run import OwnData, opened

if TYPE_CHECKING:
    from firstlight.records.exports import ExportRecord


def export(
    path: RunPath,
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="onnx, html, c or torch.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="PATH", help="The file, or the folder of several; in the run's folder otherwise."
        ),
    ] = None,
    data: OwnData = None,
    as_json: Json = False,
) -> None:
    """Write a trained model in a format that other programs use, proved on all test images of the run.

    Nothing is written where the export gives another class than firstlight for one of them, or a probability that
    differs by more than 1e-4.
    """
    from firstlight.records.codec import encode

    options: dict[str, Any] = {}
    run = opened(path, None, None)
    record = run.export(to, out, data=data, **options)
    if as_json:
        typer.echo(json.dumps(encode(record), ensure_ascii=False))
        return
    _print(path / record.path, record)


def _print(place: Path, record: ExportRecord) -> None:
    from firstlight.report.format import file_size

    if record.proved:
        differ = "" if record.largest_difference is None else f" (largest difference {record.largest_difference:.1e})"
        typer.echo(f"Proved by {record.runtime} on all {record.images:,} test images{differ}.")
    else:
        typer.echo(f"Not proved: {record.not_proved}", err=True)
    for name, text in record.facts.items():
        typer.echo(f"{name}: {text}")
    typer.echo(f"{record.title}: {place} ({file_size(record.bytes)})")
