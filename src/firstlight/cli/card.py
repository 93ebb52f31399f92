"""`firstlight card`: what there is to say of a trained model, for those who are given it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from firstlight.cli.commands import RunPath


def card(
    path: RunPath,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="The file to write, such as README.md. Default: print it."),
    ] = None,
    licence: Annotated[
        str,
        typer.Option(
            "--licence", metavar="NAME", help='The licence of the model, as model hubs name it: "apache-2.0".'
        ),
    ] = "",
) -> None:
    """Print a model card in Markdown, with the metadata that model hubs read, made from the run's record.

    It says what the model is, how it was measured, what it confuses, where its limits are, which exports were verified,
    and how to reproduce it.
    """
    from firstlight import report
    from firstlight.records.run_folder import RunFolder

    text = report.card(RunFolder.open(path), licence, out)
    if out is None:
        typer.echo(text, nl=False)
    else:
        typer.echo(out)
