"""`firstlight demo`: three nets on real handwritten digits, compared, in a minute."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

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


def demo(
    out: Annotated[Path, typer.Option(help="Where the three runs and their comparison go.")] = Path("runs/demo"),
) -> None:
    """Train three nets on real handwritten digits, compare them, and write a report. Takes about a minute."""
    from rich.console import Console
    from rich.table import Table

    from firstlight import api, report

    console = Console()
    if out.exists():
        if not (out / ".demo").exists():
            raise RunError(f"{out} exists and is no earlier demo. Choose another folder with --out.")
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / ".demo").touch()
    done = []
    for name, tables in EXPERIMENTS.items():
        console.print(f"[bold]{name}[/bold]")
        done.append(api.run(tables, out=out / name, console=console))
        if done[-1].result["status"] == "interrupted":
            console.print("Interrupted: a net that was cut off is not compared with the others.")
            raise typer.Exit(130)
        done[-1].report()
    compared = report.Comparison([one.folder for one in done], "First light: handwritten digits")
    page = report.write(compared, out / "report.html")

    table = Table("model", box=None, header_style="bold")
    for heading in ("test accuracy", "95 % interval", "parameters", "seconds"):
        table.add_column(heading, justify="right")
    for one in done:
        test, seconds = one.result["test"], one.result["seconds"]["train"]
        low, high = test["accuracy_interval"]
        parameters = one.result["parameters"]["total"]
        table.add_row(
            one.path.name, f"{test['accuracy']:.4f}", f"{low:.3f} – {high:.3f}", f"{parameters:,}", f"{seconds:.1f}"
        )
    console.print(table)
    console.print(f"Report: {page}", soft_wrap=True, highlight=False)
