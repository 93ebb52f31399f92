"""The dashboard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def view(
    root: Annotated[Path, typer.Argument(metavar="RUNS", help="The folder of the runs.")] = Path("runs"),
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="The port. Default: 8765, or a free one if that is taken.", show_default=False
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen on. One that others can reach needs a token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            help="The token that every request must then send. Other users of the machine can read a command line: "
            "--token-file, or the variable FIRSTLIGHT_TOKEN, keeps it from them.",
            show_default=False,
        ),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file whose one line is the token.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A folder with images of your own (folders, CSVs, .npz) that runs can be started on from the page.",
            show_default=False,
        ),
    ] = None,
    at_once: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many runs started from the page may train at the same time. Default: the number of cores.",
            show_default=False,
        ),
    ] = None,
    corrections: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Where the page Review saves decisions about labels. Default: in RUNS, a file for each dataset.",
            show_default=False,
        ),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
) -> None:
    """Show runs on a local page: watch, inspect, draw, compare and start them. Ctrl-C ends it."""
    from firstlight.app import serve

    serve(
        root,
        host=host,
        port=port,
        token=token,
        token_file=token_file,
        data=data,
        at_once=at_once,
        corrections=corrections,
        browser=browser,
        say=typer.echo,
    )
