"""`firstlight tune`."""

from __future__ import annotations

import json as json_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstlight.errors import RunError

if TYPE_CHECKING:
    from firstlight.searches import TuneFolder


def tune(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE.toml", help="An experiment file with [space] and [tune].", show_default=False),
    ],
    workers: Annotated[int, typer.Option(min=1, help="Trials at a time, each in a process of its own.")] = 1,
    trials: Annotated[
        int | None, typer.Option(min=1, help="How many, instead of the file's; more go on.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder; runs/FILE-tune otherwise. The same one goes on.", show_default=False),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="An Optuna storage that machines share; a file in the folder otherwise."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON; progress goes to standard error.")] = False,
) -> None:
    """Search for good settings: many short trainings, judged by validation images alone. A stopped one goes on."""
    from rich.console import Console

    from firstlight import api
    from firstlight.searches import TuneFolder

    place = out or api.tune_folder(file)
    try:
        folder = api.tune(
            file, out=place, workers=workers, trials=trials, storage=storage, console=Console(stderr=json)
        )
    except KeyboardInterrupt:
        _say_how_to_go_on(TuneFolder(place))
        raise typer.Exit(130) from None
    if json:
        typer.echo(json_.dumps(_result(folder)))
    else:
        _print(folder)


def _say_how_to_go_on(folder: TuneFolder) -> None:
    from firstlight.searches import ENDED

    try:
        done = f" {sum(map(len, map(folder.result.ended, ENDED)))} trials are kept in {folder.path}."
    except RunError:
        done = ""
    typer.echo(f"\nInterrupted.{done} The same command goes on.", err=True)


def _result(folder: TuneFolder) -> dict[str, object]:
    from firstlight.searches import ENDED

    tuned = folder.result
    best = tuned.best
    return {
        "path": str(folder.path),
        "report": str(folder.path / "report.html"),
        "best_file": str(folder.path / "best.toml"),
        "status": tuned.status,
        "monitor": tuned.monitor,
        "trials": {state: len(tuned.ended(state)) for state in ENDED},
        "best": {"trial": best.number, "value": best.value, "epoch": best.best, "values": dict(best.values)},
        "importance": dict(tuned.importance),
    }


def _print(folder: TuneFolder) -> None:
    from firstlight.searches import ENDED, shown

    tuned = folder.result
    best = tuned.best
    values = ", ".join(f"{key} {shown(value)}" for key, value in best.values.items())
    counts = [f"{len(found)} {state}" for state in ENDED if (found := tuned.ended(state))]
    typer.echo(f"best: trial {best.number}, {tuned.monitor} {best.value:.4f} after epoch {best.best}, with {values}")
    typer.echo(f"{', '.join(counts)}; the test images were not looked at")
    if tuned.status == "unfinished":
        missing = tuned.asked - sum(map(len, map(tuned.ended, ENDED)))
        typer.echo(f"{missing} of {tuned.asked} trials are missing: the same command goes on.")
    typer.echo(f"Measure the best, on several seeds: firstlight run {folder.path / 'best.toml'}")
    typer.echo(f"Report: {folder.path / 'report.html'}")
