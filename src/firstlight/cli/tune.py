"""`firstlight tune`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstlight.cli.commands import Json, Open, Quiet, console, show
from firstlight.errors import RunError

if TYPE_CHECKING:
    from firstlight.records.search_folder import TuneFolder


def tune(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE.toml", help="An experiment file with [space] and [tune].", show_default=False),
    ],
    workers: Annotated[int, typer.Option(min=1, help="How many trials run at the same time, each in a process.")] = 1,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many trials, instead of the number in the file. A larger number continues the search.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The folder of the search. Default: runs/FILE-tune.", show_default=False),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="An Optuna storage shared by several machines. Default: a file in the folder."
        ),
    ] = None,
    open_: Open = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Search for hyperparameters, compared on validation images alone. A stopped search continues."""
    from firstlight import api
    from firstlight.records.search_folder import TuneFolder

    place = out or api.tune_folder(file)
    try:
        folder = api.tune(
            file, out=place, workers=workers, trials=trials, storage=storage, console=console(as_json, quiet)
        )
    except KeyboardInterrupt:
        _print_how_to_continue(TuneFolder(place))
        raise typer.Exit(130) from None
    if as_json:
        typer.echo(json.dumps(_result(folder)))
    elif quiet:
        typer.echo(folder.path / "report.html")
    else:
        _print(folder)
    if open_:
        show(folder.path / "report.html")


def _print_how_to_continue(folder: TuneFolder) -> None:
    from firstlight.records.search_folder import ENDED

    try:
        done = f" {sum(map(len, map(folder.result.ended, ENDED)))} trials are kept in {folder.path}."
    except RunError:
        done = ""
    typer.echo(f"\nInterrupted.{done} The same command continues.", err=True)


def _result(folder: TuneFolder) -> dict[str, object]:
    from firstlight.records.search_folder import ENDED

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
    from firstlight.evaluation.metrics import in_words, is_percent
    from firstlight.records.search_folder import ENDED, shown
    from firstlight.report.format import decimal, percent

    tuned = folder.result
    best = tuned.best
    values = ", ".join(f"{key} {shown(value)}" for key, value in best.values.items())
    counts = [f"{len(found)} {state}" for state in ENDED if (found := tuned.ended(state))]
    level = [trial for trial in tuned.complete if trial.value == best.value]
    value = percent(best.value, 2) if is_percent(tuned.monitor) else decimal(best.value)
    typer.echo(f"best: trial {best.number}, {in_words(tuned.monitor)} {value} after epoch {best.best}, with {values}")
    if len(level) > 1:
        typer.echo(f"{len(level)} trials reached this value; the first of them is called the best.")
    typer.echo(f"{', '.join(counts)}; the test images were not used")
    if tuned.status == "unfinished":
        missing = tuned.asked - sum(map(len, map(tuned.ended, ENDED)))
        typer.echo(f"{missing} of {tuned.asked} trials are missing: the same command continues.")
    typer.echo(f"Report: {folder.path / 'report.html'}")
    typer.echo(
        f"Next: firstlight run {folder.path / 'best.toml'} measures the best on the test images; again with --seed 1, "
        "--seed 2, … for its spread, and firstlight compare puts these runs together."
    )
