"""`firstlight components`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstlight.errors import ExperimentError, nearest

if TYPE_CHECKING:
    from firstlight.components import Option, Registry


def components(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND", help="A kind of component, such as optimizer. Without it, the kinds are listed."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="A component, such as adam. Without it, those of the kind are listed."),
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of the experiment file, for an editor.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List layers, losses, optimizers and the like, each with its options."""
    if schema:
        from firstlight.experiments import Experiment

        typer.echo(json.dumps(Experiment.model_json_schema(), ensure_ascii=False, indent=1))
        return
    kinds = all_kinds()
    if kind is None:
        found = {known: [*registry] for known, registry in kinds.items()}
        typer.echo(json.dumps(found)) if as_json else _print_kinds(found)
        return
    registry = kinds.get(kind) or kinds.get(kind.removesuffix("s")) or kinds.get(kind.removesuffix("es"))
    if registry is None:
        raise ExperimentError(f"There is no kind of component called {kind!r}. {nearest(kind, kinds)}")
    if name is None:
        rows = [{"name": each, "about": registry.summary(each), "origin": registry.origin(each)} for each in registry]
        typer.echo(json.dumps(rows)) if as_json else _print_names(registry)
    elif as_json:
        typer.echo(json.dumps({"name": registry.known(name), **registry.json_schema(name)}))
    else:
        _print_one(registry, registry.known(name))


def all_kinds() -> dict[str, Registry[Any]]:
    """All registries by the word for one of their components."""
    from firstlight import _REGISTRIES

    found = {kind: getattr(importlib.import_module(module), name) for kind, (module, name) in _REGISTRIES.items()}
    return dict(sorted(found.items()))


def _print_kinds(found: dict[str, list[str]]) -> None:
    _print_table(("kind", "names"), [(kind, ", ".join(names)) for kind, names in found.items()])
    typer.echo("What each is: firstlight components KIND. Its options: firstlight components KIND NAME.")


def _print_names(registry: Registry[Any]) -> None:
    rows = [(name, registry.summary(name) + _origin(registry, name)) for name in registry]
    _print_table(("name", "what it is"), rows)


def _print_one(registry: Registry[Any], name: str) -> None:
    typer.echo(f"{registry.about(name)}{_origin(registry, name)}")
    if options := registry.options(name):
        typer.echo()
        _print_table(("option", "default", "what it is"), [_row(option) for option in options])


def _row(option: Option) -> tuple[str, str, str]:
    return option.name, option.default_text, "; ".join(filter(None, (option.explanation, option.allowed)))


def _origin(registry: Registry[Any], name: str) -> str:
    """Whose it is, where it is not firstlight's own."""
    return "" if registry.is_ours(name) else f" (of {registry.origin(name)})"


def _print_table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*titles, box=None, header_style="bold")
    for row in rows:
        table.add_row(*map(escape, row))
    Console(highlight=False).print(table)
