"""`firstlight demo`: three nets on real handwritten digits, compared, in a minute."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from firstlight.cli import commands, tables
from firstlight.cli.commands import Open, Quiet, show
from firstlight.errors import RunError

# The embedded digits are 8×8; LeNet-5's three convolutions need 28×28.
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "softmax-regression": {
        "data": {"source": "digits"},
        "prepare": {"standardise": "channel"},
        "model": {"name": "softmax-regression"},
        "optimizer": {"name": "adam", "lr": 5e-3},
        "training": {"epochs": 40},
    },
    "mlp-128-64": {
        "data": {"source": "digits"},
        "prepare": {"standardise": "channel"},
        "model": {"name": "mlp-128-64"},
        "optimizer": {"name": "adam", "lr": 2e-3},
        "training": {"epochs": 40},
    },
    "lenet5-batchnorm": {
        "data": {"source": "digits", "size": 28},
        "prepare": {"standardise": "channel"},
        "model": {"name": "lenet5-batchnorm"},
        "optimizer": {"name": "adam", "lr": 2e-3},
        "schedule": {"name": "cosine"},
        "training": {"epochs": 20},
    },
}


INTRODUCTION = (
    "Three nets learn to classify 1,797 handwritten digits: softmax-regression, one layer; mlp-128-64, a dense net "
    "with two hidden layers; lenet5-batchnorm, a convolutional net. Each line is an epoch, one pass over the training "
    "images; “best so far” marks the epochs with the best validation accuracy up to then. The weights of the last of "
    "these are kept and evaluated once on the test images."
)


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The folder for the three runs and their comparison.")
    ] = Path("runs/demo"),
    open_: Open = False,
    quiet: Quiet = False,
) -> None:
    """Train three nets on handwritten digits and compare them. Takes about a minute."""
    from firstlight import api, report
    from firstlight.records.result import Status

    console = commands.console(quiet=quiet)
    if out.exists():
        if not (out / ".demo").exists():
            raise RunError(f"{out} exists and is not an earlier demo. Choose another folder with --out.")
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / ".demo").touch()
    console.print(INTRODUCTION, highlight=False)
    done = []
    for name, experiment in EXPERIMENTS.items():
        console.print(f"\n[bold]{name}[/bold]")
        done.append(api.run(experiment, out=out / name, console=console))
        if done[-1].folder.result.status == Status.INTERRUPTED:
            console.print("Interrupted: an unfinished run is not compared with the others.")
            raise typer.Exit(130)
    compared = report.Comparison([one.folder for one in done], "First light: handwritten digits")
    if not quiet:
        tables.print_outcome(console, compared)
    for one in done:
        with report.of_complete("run", one.path):
            one.report()
    page = report.write(compared, out / "report.html")
    if quiet:
        typer.echo(page)
    else:
        typer.echo(f"Report: {page}")
        typer.echo(
            f"Next: firstlight view {out} to see the runs in the browser and draw digits for them, or firstlight run "
            "--data fashion-mnist --model lenet5 to train on larger images."
        )
    if open_:
        show(page)
