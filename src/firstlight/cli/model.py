"""`firstlight summary`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstlight.cli.commands import asked_for
from firstlight.errors import ExperimentError
from firstlight.options import read_sides

if TYPE_CHECKING:
    from firstlight.models import Model


def summary(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="An architecture, an experiment file or a run. Without it, the architectures are listed.",
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--input", metavar="HxWxC", help="The input shape, as in 28x28x1.", show_default=False)
    ] = None,
    classes: Annotated[int | None, typer.Option(min=2, help="The number of classes.", show_default=False)] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set an option: --set model.activation=tanh")
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help='Freeze the parameters that match: --freeze "*" --freeze "!head"'),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the architectures.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    svg: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw the net as a picture to this file, as in --svg lenet5.svg.", show_default=False
        ),
    ] = None,
) -> None:
    """Show a model layer by layer, or list the architectures. `firstlight components` lists all else."""
    from rich.console import Console
    from rich.table import Table

    from firstlight import api
    from firstlight.files import write_text
    from firstlight.records.codec import encode
    from firstlight.records.run_folder import EXPERIMENT

    if svg is not None:
        _check_drawing(svg, name, list_)
    if name is None or list_:
        _list(as_json)
        return
    batch_norm = ""
    if (Path(name) / EXPERIMENT).is_file():
        for option, given in (("--input", size), ("--classes", classes), ("--set", settings), ("--freeze", freeze)):
            if given:
                raise ExperimentError(f"{option} cannot be used with a run: {name} has its own model.")
        run = api.open_run(name)
        model, batch_norm = run.task.model, run.experiment.weights.batchnorm
    else:
        model = _build(name, size, classes, settings or [], freeze or [])
    if svg is not None:
        write_text(svg, model.svg())
        if not as_json:
            typer.echo(svg)
            return
    counts = {
        "parameters": model.parameters,
        "trainable": model.trainable,
        "frozen": model.frozen_parameters,
        "statistics": model.parameters - model.trainable - model.frozen_parameters,
        "multiply_adds": model.multiply_adds,
    }
    if as_json:
        rows = encode(model.summary())
        typer.echo(json.dumps({"name": model.name, "input_shape": model.input_shape, **counts, "layers": rows}))
        return
    table = Table("layer", "type", "output shape", box=None, header_style="bold")
    for heading in ("parameters", *(["trained"] if model.frozen else []), "multiply-adds"):
        table.add_column(heading, justify="right")
    for row in model.summary():
        shape = " × ".join(map(str, row.output_shape))
        trained = [f"{row.trainable:,}"] if model.frozen else []
        table.add_row(row.name, row.type, shape, f"{row.parameters:,}", *trained, f"{row.multiply_adds:,}")
    console = Console()
    console.print(f"{model.name}, input {' × '.join(map(str, model.input_shape))}", highlight=False)
    console.print(table)
    console.print(
        f"parameters {model.parameters:,}: {model.trainable:,} trainable, {counts['frozen']:,} frozen, "
        f"{counts['statistics']:,} running statistics; {model.multiply_adds:,} multiply-adds per image",
        highlight=False,
        soft_wrap=True,
    )
    if batch_norm and counts["statistics"]:
        console.print(f"batch norm: {batch_norm}", highlight=False)


def _check_drawing(path: Path, name: str | None, list_: bool) -> None:
    """Raise ExperimentError where there is no net to be drawn, or no such file can be written."""
    if name is None or list_:
        raise ExperimentError("--svg draws one net: name it, as in firstlight summary lenet5 --svg lenet5.svg.")
    if path.suffix.lower() != ".svg":
        raise ExperimentError(f"--svg takes a file that ends in .svg; received {str(path)!r}.")


def _list(as_json: bool) -> None:
    """The architectures, what each is, and its parameters for the images that it is usually shown with."""
    from rich.console import Console
    from rich.table import Table

    from firstlight import models

    table = Table("name", "input", box=None, header_style="bold")
    table.add_column("parameters", justify="right", no_wrap=True)
    table.add_column("what it is")
    rows = []
    for name in models.ARCHITECTURES:
        shape, classes = models.default_shape(name)
        parameters = models.build(name, shape, classes).parameters
        what = models.ARCHITECTURES.about(name).partition("\n\n")[0].replace("\n", " ")
        rows.append({"name": name, "input_shape": shape, "classes": classes, "parameters": parameters, "about": what})
        table.add_row(name, "×".join(map(str, shape)), f"{parameters:,}", what)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    Console(highlight=False).print(table)
    typer.echo("Layer by layer: firstlight summary NAME. For other images: --input 32x32x3 --classes 5.")


def _of_file(file: Path, size: str | None, classes: int | None, settings: list[str], freeze: list[str]) -> Model:
    """The model of an experiment file: for its images, or for those that --input and --classes describe."""
    from firstlight import experiments

    tables = asked_for(file, settings)
    if freeze:
        experiments.put(tables, "weights.freeze", freeze)
    experiment = experiments.Experiment.of(tables, str(file))
    if size is None:
        return experiments.set_up(experiment, look=False).model
    model = experiment.build_model(_shape(size), classes or 10)
    experiments.must_name(model, "weights.freeze", experiment.weights.freeze)
    return replace(model, frozen=tuple(experiment.weights.freeze))


def _build(name: str, size: str | None, classes: int | None, settings: list[str], freeze: list[str]) -> Model:
    from firstlight import experiments, models

    if Path(name).suffix == ".toml":
        return _of_file(Path(name), size, classes, settings, freeze)
    usual = models.default_shape(name)
    options = {key.removeprefix("model."): value for key, value in map(experiments.parse_setting, settings)}
    model = models.build(name, usual[0] if size is None else _shape(size), classes or usual[1], options)
    experiments.must_name(model, "--freeze", freeze)
    return replace(model, frozen=tuple(freeze))


def _shape(text: str) -> tuple[int, int, int]:
    sides = read_sides(text)
    if sides is None or len(sides) != 3:
        raise ExperimentError(f"--input takes height x width x channels, as in 28x28x1; received {text!r}.")
    height, width, channels = sides
    return height, width, channels
