"""Every command with its arguments and options: commands.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer.main
from docs.reference.markdown import escaped, paragraphs, table

from firstlight.cli import app

INTRODUCTION = """\
# The commands

Made by `python -m docs.reference` from the program itself; `firstlight COMMAND --help` prints the same. Every command \
takes `--help`. Exit code 0 is success; 1, of some commands, that not all could be done, as the command says; 2 a \
mistake, whose message says how to mend it; 130 that Ctrl-C ended it."""


def commands() -> dict[str, Any]:
    """By its whole name, such as "firstlight data list", each command that help lists."""
    return dict(_below(typer.main.get_command(app), "firstlight"))


def _below(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for each, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _below(command, f"{name} {each}")
        elif not command.hidden:
            yield f"{name} {each}", command


def page() -> str:
    """The text of commands.md. Raises ValueError where something is not explained."""
    return (
        "\n\n".join([INTRODUCTION, *(part for name, command in commands().items() for part in about(name, command))])
        + "\n"
    )


def about(name: str, command: Any) -> Iterator[str]:
    """What is said of a command, part by part. Raises ValueError where something is not explained."""
    context = typer.Context(command, info_name=name, max_content_width=10_000)
    command.get_help(context)  # which fills in the names that registries know
    yield f"## `{name}`"
    yield from paragraphs(explained(command.help, name))
    yield f"```text\n{context.get_usage().removeprefix('Usage: ')}\n```"
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    if arguments:
        names = [f"`{each.metavar or each.name.upper()}`" for each in arguments]
        yield table(("argument", "meaning"), zip(names, [_meaning(each, name) for each in arguments], strict=True))
    yield table(("option", "meaning"), [(_spelling(each, context), _meaning(each, name)) for each in options])


def explained(text: str | None, whose: str) -> str:
    """The text; raises ValueError where there is none."""
    if not (text or "").strip():
        raise ValueError(f"{whose} is not explained.")
    return str(text)


def _spelling(parameter: Any, context: Any) -> str:
    names, _ = parameter.get_help_record(context) or (", ".join(parameter.opts), "")
    return "`" + re.sub(r"\s+", " ", names) + "`"


def _meaning(parameter: Any, command: str) -> str:
    text = escaped(explained(getattr(parameter, "help", None), f"{command}: {parameter.opts[0]}"))
    default = parameter.default
    if parameter.show_default is False or callable(default) or default in (None, False, True, (), []):
        return text
    return f"{text} (`{default}` where it is not given)"
