"""The dashboard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def view(
    root: Annotated[Path, typer.Argument(metavar="RUNS", help="The folder of the runs.")] = Path("runs"),
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="The port; 8765, or a free one where that is taken.", show_default=False),
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen on; one that others can reach needs --token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None, typer.Option(help="What every request must then bring; the browser keeps it.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A folder with images of your own (folders, CSVs, .npz) that runs can be started on from the page.",
            show_default=False,
        ),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
) -> None:
    """Show runs on a local page: watch them, question them, draw for them, compare and start them. Ctrl-C ends it."""
    from firstlight.app import serve

    serve(root, host=host, port=port, token=token, data=data, browser=browser, say=typer.echo)
