"""`firstlight check`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from firstlight.cli.commands import Json
from firstlight.errors import ExperimentError

if TYPE_CHECKING:
    from rich.console import Console

    from firstlight.checks import ComponentCheck


def check(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A file, or an installed module, with components of your own.")
    ],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="The components to check. Default: all of the file.")
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="CxHxW",
            help="An input shape for a layer without examples: channels, height and width as in 2x5x5, or features "
            "alone.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check components of your own by all that firstlight's must pass. Exit code 1 where one fails."""
    from rich.console import Console

    from firstlight import checks
    from firstlight.options import read_sides

    sides = None if shape is None else read_sides(shape)
    if shape is not None and (sides is None or len(sides) not in (1, 3)):
        raise ExperimentError(f"--input takes channels x height x width, as in 2x5x5, or features; received {shape!r}.")
    found = checks.check_plugin(file, names or (), input_shape=sides)
    if as_json:
        typer.echo(json.dumps([one.to_json() for one in found]))
    else:
        for one in found:
            _print(one, Console())
    if not all(one.passed for one in found):
        raise typer.Exit(1)


def _print(found: ComponentCheck, console: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    console.print(f"\n{found.kind} {found.name}", style="bold", highlight=False, markup=False)
    table = Table("check", "", "cases", "what it says", box=None, header_style="bold")
    failures: dict[str, str] = {}  # what failed, by what it says: one error is told once
    for one in found.findings:
        sign, style = {True: ("✓", ""), False: ("✗", "red"), None: ("–", "dim")}[one.passed]
        said = one.reason or one.about
        if one.passed is False:
            said = f"{one.where}: expected {one.expected}; received {one.received}"
            said = f"the same error as {failures[said]}" if said in failures else said
            failures.setdefault(said, one.demand)
        table.add_row(one.demand, sign, str(one.cases or ""), escape(said), style=style)
    console.print(table, highlight=False)
    proofs = Table("deliberately broken", "", "caught by", box=None, header_style="bold")
    for proof in found.proofs:
        sign, style = {True: ("✓", ""), False: ("✗", "red"), None: ("–", "dim")}[proof.caught]
        said = ", ".join(proof.by) if proof.caught else proof.reason or "nothing"
        proofs.add_row(proof.fault, sign, escape(said), style=style)
    if found.proofs:
        console.print(proofs, highlight=False)
    console.print(found.verdict, style="" if found.passed else "red", highlight=False, markup=False, soft_wrap=True)
