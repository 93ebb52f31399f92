"""The names of the program that a page mentions: each must exist, and leads to the place where it is explained."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from docs.reference.commands import commands

import firstlight as fl
from firstlight.app.pages.start import form
from firstlight.experiments import Experiment

CODE = re.compile(r"```.*?```|(?:^ {4}[^\n]*\n?)+|`[^`\n]+`", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"firstlight(?: [a-z]+)+")  # at the beginning of a line, or of code in a line
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
PUBLIC = re.compile(r"\bfl\.([A-Za-z_]\w*)")
KEY = re.compile(r"`([a-z]+)\.([a-z_]+)`|--set ['\"]?([a-z]+)\.([a-z_]+)=")
ENDINGS = {
    "json",
    "npz",
    "toml",
    "csv",
    "py",
    "html",
    "onnx",
    "safetensors",
    "c",
    "h",
    "md",
}  # `model.json` is a file, and no key
PYTHON = ("```python", "```{code-cell}")
HISTORY = ("why/log", "why/decisions/")  # what had a name then, and may have lost it since
HIDDEN = ("firstlight help",)  # which takes the name of a command, or the code of a warning
OF_ALL = {"--help", "--version", "--install-completion", "--show-completion"}


@cache
def options() -> dict[str, set[str]]:
    """The options of each command."""
    return {
        name: {*OF_ALL, *(spelling for each in command.params for spelling in (*each.opts, *each.secondary_opts))}
        for name, command in commands().items()
    }


@cache
def keys() -> dict[str, set[str]]:
    """The keys of each table of the experiment file, options of what can be named among them."""
    found: dict[str, set[str]] = {table: set() for table in Experiment.model_json_schema()["properties"]}
    for key in form.all_fields():
        table, _, name = key.partition("@")[0].partition(".")
        found[table].add(name)
    return found


def place_of(code: str) -> tuple[str, str] | None:
    """The page of the reference, and the heading in it, where the code in a line is explained; None of other code."""
    if found := re.match(r"fl\.(\w+)(?=$|\()", code):
        return ("reference/python", f"fl-{found[1].lower().replace('_', '-')}") if found[1] in fl.__all__ else None
    if found := re.fullmatch(r"FL\d\d\d", code):
        return f"reference/warnings/{code}", ""
    name = command_in(code)
    return ("reference/commands", name.replace(" ", "-")) if name else None


def command_in(line: str) -> str:
    """The command that a line begins with, such as "firstlight data list" of "firstlight data list --json", or ""."""
    words = line.split()
    return next((name for n in (3, 2) if (name := " ".join(words[:n])) in options()), "")


def unknown(text: str) -> Iterator[str]:
    """The names in the code of a page, in blocks or in a line, that the program does not have."""
    for first, second, *others in KEY.findall(text):
        table, key = (first, second) if first else others
        if key not in ENDINGS and key not in keys().get(table, {key}):
            yield f"{table}.{key}"
    for found in CODE.findall(text):
        for name in PUBLIC.findall(found):
            if name not in fl.__all__ and name != "__version__":
                yield f"fl.{name}"
        if found.startswith(PYTHON) and "%%bash" not in found:
            continue
        for line in re.sub(r"\\\n\s*", " ", found).strip("`").splitlines():
            yield from _unknown_of_command(line.partition("#")[0])


def _unknown_of_command(line: str) -> Iterator[str]:
    for part in re.split(r"[|;&]", line):
        if not (start := COMMAND.match(part.strip())) or start[0].startswith(HIDDEN):
            continue
        name = command_in(start[0])
        if name:
            yield from (f"{name} {option}" for option in OPTION.findall(part) if option not in options()[name])
        else:
            yield start[0]
