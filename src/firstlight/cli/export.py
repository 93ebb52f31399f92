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
    int8: Annotated[
        bool, typer.Option("--int8", help="c: weights and activations as int8, calibrated on training images.")
    ] = False,
    most_loss: Annotated[
        float | None,
        typer.Option(
            "--most-loss",
            metavar="POINTS",
            help="c: the most accuracy that --int8 may lose, in percentage points (usually 1).",
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

    options: dict[str, Any] = {"int8": True} if int8 else {}
    if most_loss is not None:
        options["most_loss"] = most_loss
    run = opened(path, None, None)
    record = run.export(to, out, data=data, **options)
    if as_json:
        typer.echo(json.dumps(encode(record), ensure_ascii=False))
        return
    _print(path / record.path, record)


def _print(place: Path, record: ExportRecord) -> None:
    from firstlight.report.format import file_size

    if record.accuracy is not None:  # of its own, which the facts say
        typer.echo(f"Run by {record.runtime} on all {record.images:,} test images.")
    elif record.proved:
        differ = "" if record.largest_difference is None else f" (largest difference {record.largest_difference:.1e})"
        typer.echo(f"Proved by {record.runtime} on all {record.images:,} test images{differ}.")
    else:
        typer.echo(f"Not proved: {record.not_proved}", err=True)
    for name, text in record.facts.items():
        typer.echo(f"{name}: {text}")
    typer.echo(f"{record.title}: {place} ({file_size(record.bytes)})")
