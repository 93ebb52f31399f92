"""`firstlight rate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstlight.cli.commands import OPTIMIZERS, Json, Open, asked_for, console, show
from firstlight.errors import ExperimentError

if TYPE_CHECKING:
    from firstlight.records.rate_test import RateTest

BARS, BAR = 24, 40  # lines of the curve in a terminal, and the length of the longest bar


def rate(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="An experiment file.", show_default=False)],
    steps: Annotated[int, typer.Option(help="Steps of training, each at a higher rate.")] = 200,
    low: Annotated[float, typer.Option("--from", metavar="X", help="The first learning rate.")] = 1e-6,
    high: Annotated[float, typer.Option("--to", metavar="X", help="The last one.")] = 10.0,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Train on this many images only.", show_default=False)
    ] = None,
    optimizer: Annotated[str | None, typer.Option(help=f"{OPTIMIZERS}.")] = None,
    engine: Annotated[str | None, typer.Option(help="numpy (written by hand) or torch.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set any key of the experiment: --set a.b=c")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write a page with the curve.")
    ] = None,
    open_: Open = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the suggested rate, and errors.")] = False,
    as_json: Json = False,
) -> None:
    """Suggest a learning rate by a range test: train for a few steps at increasing rates, and see where the loss falls.

    Nothing of this training is kept; no run is made or changed. Exit code 1 if the curve suggests none.
    """
    from firstlight import api
    from firstlight.experiments import Experiment

    if open_ and out is None:
        raise ExperimentError("--open shows the page, which is written only where --out says: give --out FILE.html.")
    options = {"data.limit": limit, "optimizer.name": optimizer, "engine": engine}
    experiment = Experiment.of(asked_for(file, settings, options), str(file))
    found = api.rate(experiment, steps=steps, low=low, high=high, out=out, console=console(as_json, quiet))
    suggested = found.suggestion
    if as_json:
        typer.echo(json.dumps({**found.to_json(), "report": None if out is None else str(out)}))
    elif quiet:
        typer.echo("none" if suggested.rate is None else f"{suggested.rate:.2g}")
    else:
        _print(found)
        if out is not None:
            typer.echo(f"Report: {out}")
    if open_ and out is not None:
        show(out)
    if suggested.rate is None:
        raise typer.Exit(1)


def _print(found: RateTest) -> None:
    """The curve as bars, and what it speaks for."""
    smooth, first = found.smoothed, found.smoothed[0]
    most = max(float(first) * 1.15, float(smooth.min()))
    typer.echo(f"{found.model} on {found.data}, {found.optimizer}: {len(found.rates)} steps\n")
    typer.echo("learning rate      loss")
    every = max(1, -(-len(found.rates) // BARS))
    for n in range(0, len(found.rates), every):
        bar = "█" * round(BAR * min(float(smooth[n]) / most, 1.0))
        typer.echo(f"{found.rates[n]:13.2g}  {smooth[n]:8.4g}  {bar}{'…' if smooth[n] > most else ''}")
    suggested = found.suggestion
    head = "No learning rate is suggested." if suggested.rate is None else f"Suggested: --lr {suggested.rate:.2g}."
    typer.echo(f"\n{head} {suggested.reason}")
    if suggested.rate is not None:
        typer.echo(f"The experiment has {found.lr:g}. A decaying schedule ends below either.")
