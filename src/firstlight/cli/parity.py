"""`firstlight parity`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstlight.cli.commands import OPTIMIZERS, Json, Open, Quiet, asked_for, default_of, show

if TYPE_CHECKING:
    from firstlight.experiments import Experiment
    from firstlight.records.parity import Parity

WIDE = 110  # columns of a terminal from which a table shows types and shapes as well


def parity(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="The name of an architecture, or an experiment file.", show_default=False),
    ],
    data: Annotated[
        str | None, typer.Option(help="Images to compare on, as for run. Default: random pixels.", show_default=False)
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help=f"Steps of training, side by side. Default: {default_of('steps')}.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=2, help=f"Images per step. Default: {default_of('batch_size')}.")
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(help=f"{OPTIMIZERS}. Default: {default_of('optimizer')}, or that of the file.")
    ] = None,
    lr: Annotated[float | None, typer.Option(metavar="NUMBER", help="The learning rate.", show_default=False)] = None,
    loss: Annotated[
        str | None, typer.Option(help=f"The loss. Default: {default_of('loss')}, or that of the file.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help=f"The random seed. Default: {default_of('seed')}.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set an option: --set model.activation=tanh")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The page to write. Default: runs/parity-MODEL.html.", show_default=False)
    ] = None,
    open_: Open = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Check gradients by hand against autograd, and training on both engines. Exit code 1 where they differ."""
    from rich.console import Console

    from firstlight import api, experiments, report

    asked: dict[str, Any]
    if Path(model).suffix == ".toml":
        setup = experiments.set_up(_experiment(Path(model), settings or []), look=False)
        asked = {
            "model": setup.model,
            "data": setup.dataset if data is None else data,
            "optimizer": optimizer or setup.task.optimizer,
            "loss": loss or setup.task.loss,
            "lr": lr or (None if optimizer else setup.experiment.optimizer.lr),
        }
    else:
        options = dict(experiments.parse_setting(text) for text in settings or [])
        asked = {
            "model": model,
            "data": data,
            "options": {key.removeprefix("model."): value for key, value in options.items()},
            "optimizer": optimizer,
            "loss": loss,
            "lr": lr,
        }
    asked |= {"steps": steps, "batch_size": batch_size, "seed": seed}
    given = {key: value for key, value in asked.items() if value is not None}
    found = api.parity(**given, console=Console(stderr=True, quiet=quiet))
    page = out or api.RUNS / f"parity-{Path(model).stem if Path(model).suffix == '.toml' else model}.html"
    if as_json:
        typer.echo(json.dumps({"report": str(page), **found.to_json()}))
    elif not quiet:
        _print(found)
    report.write(found, page)
    if not as_json:
        typer.echo(page if quiet else f"Report: {page}")
    if open_:
        show(page)
    if not found.passed:
        raise typer.Exit(1)


def _experiment(file: Path, settings: list[str]) -> Experiment:
    """The experiment of a file, with settings over it."""
    from firstlight import experiments

    return experiments.Experiment.of(asked_for(file, settings), str(file))


def _print(found: Parity) -> None:
    from rich.console import Console

    from firstlight.cli.tables import rich_table
    from firstlight.report.format import shape
    from firstlight.report.sections import (
        parity_graph,
        parity_layers,
        parity_measurement,
        parity_parameters,
        parity_speed,
        parity_training,
    )

    console = Console()
    options = "".join(f", {key} {value}" for key, value in found.options.items())
    console.print(
        f"{found.model}, input {shape(found.input_shape)}{options}; {found.images}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    tables = {
        "Layer by layer, relative differences from autograd, and from central differences": parity_layers.table(
            found.layers, found.loss
        ),
        "Each parameter's gradient through the whole net, relative differences": parity_parameters.table(
            found.parameters
        ),
        f"Two runs of {found.steps} steps, largest relative differences": parity_training.table(found.runs),
        "Milliseconds per step, in float32": parity_speed.table(found.speed, found.engines, found.batch_size),
    }
    for title, table in tables.items():
        console.print(f"\n{title}", style="bold", highlight=False, markup=False, soft_wrap=True)
        console.print(rich_table(table, console.width, ("type", "shape"), WIDE, strong="red"))
    if found.graph:
        console.print("\nThe compiled graph", style="bold", highlight=False, markup=False, soft_wrap=True)
        console.print(parity_graph.caption(found.graph), highlight=False, markup=False, soft_wrap=True)
    console.print(f"\n{parity_measurement.DEFINITION}", style="dim", highlight=False, markup=False)
    for failure in found.failures:
        console.print(f"✗ {failure}", style="red", highlight=False, markup=False, soft_wrap=True)
    if found.passed:
        console.print(f"✓ {found.verdict}", highlight=False, markup=False, soft_wrap=True)
