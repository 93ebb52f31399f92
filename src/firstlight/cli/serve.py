"""Trained models behind HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from firstlight.cli.run import Device, Engine, FalseAlarms


def serve(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN", help="Folders of runs, or STUDY/NAME; NAME=RUN gives one a name.", show_default=False
        ),
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for a free one.")] = 8000,
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
    max_mb: Annotated[float, typer.Option(min=0.001, max=1000, metavar="X", help="Most megabytes per request.")] = 10.0,
    max_pixels: Annotated[int, typer.Option(min=1, max=89_478_485, help="Most pixels per image.")] = 25_000_000,
    max_images: Annotated[int, typer.Option(min=1, max=4096, help="Most images per request.")] = 64,
    max_seconds: Annotated[
        float, typer.Option(min=0.1, max=3600, metavar="X", help="Seconds within which a request must arrive.")
    ] = 20.0,
    max_waiting: Annotated[int, typer.Option(min=1, help="Most images that may wait for the model.")] = 512,
    max_batch: Annotated[int, typer.Option(min=1, max=4096, help="Most images per batch.")] = 64,
    false_alarm_rate: FalseAlarms = None,
    engine: Engine = None,
    device: Device = None,
) -> None:
    """Serve models over HTTP: predictions for other programs, and a page to try them. Ctrl-C ends it."""
    from firstlight import serve as service
    from firstlight.files import MB

    limits = service.Limits(
        bytes=round(max_mb * MB),
        pixels=max_pixels,
        seconds=max_seconds,
        images=max_images,
        waiting=max_waiting,
        batch=max_batch,
    )
    service.serve(
        service.named_runs(runs, engine, device, false_alarm_rate),
        host=host,
        port=port,
        token=token,
        token_file=token_file,
        limits=limits,
        say=typer.echo,
    )
