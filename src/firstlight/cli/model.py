"""`firstlight summary`."""

from __future__ import annotations

import json as json_
import re
from typing import Annotated

import typer

from firstlight.errors import ExperimentError


def summary(
    name: Annotated[str | None, typer.Argument(help="A named architecture; all are listed otherwise.")] = None,
    size: Annotated[
        str | None, typer.Option("--input", metavar="HxWxC", help="Its input, as in 28x28x1.", show_default=False)
    ] = None,
    classes: Annotated[int | None, typer.Option(min=2, help="The number of classes.", show_default=False)] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option: --set model.activation=tanh")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show a model layer by layer: output shape, parameters, multiply-adds."""
    from rich.console import Console
    from rich.table import Table

    from firstlight import models, study

    if name is None:
        for known in models.ARCHITECTURES:
            typer.echo(known)
        return
    usual = models.default_shape(name)
    options = dict(study.parse_setting(text) for text in settings or [])
    model = models.build(
        name,
        usual[0] if size is None else _shape(size),
        classes or usual[1],
        {key.removeprefix("model."): value for key, value in options.items()},
    )
    if json:
        rows = [row.to_json() for row in model.summary()]
        counts = {"parameters": model.parameters, "trainable": model.trainable, "multiply_adds": model.multiply_adds}
        typer.echo(json_.dumps({"name": name, "input_shape": model.input_shape, **counts, "layers": rows}))
        return
    table = Table("layer", "type", "output shape", box=None, header_style="bold")
    table.add_column("parameters", justify="right")
    table.add_column("multiply-adds", justify="right")
    for row in model.summary():
        shape = " × ".join(map(str, row.output_shape))
        table.add_row(row.name, row.type, shape, f"{row.parameters:,}", f"{row.multiply_adds:,}")
    console = Console()
    console.print(f"{name}, input {' × '.join(map(str, model.input_shape))}", highlight=False)
    console.print(table)
    console.print(
        f"parameters {model.parameters:,}: {model.trainable:,} trainable, "
        f"{model.parameters - model.trainable:,} running statistics; multiply-adds {model.multiply_adds:,} an image",
        highlight=False,
        soft_wrap=True,
    )


def _shape(text: str) -> tuple[int, int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)x(\d+)", text.strip().lower().replace("×", "x"))
    if match is None:
        raise ExperimentError(f"--input takes height x width x channels, as in 28x28x1; received {text!r}.")
    height, width, channels = map(int, match.groups())
    return height, width, channels
