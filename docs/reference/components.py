"""Every component with its options: components.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docs.reference.markdown import table

from firstlight.cli.components import all_kinds
from firstlight.components import Registry

INTRODUCTION = """\
# Every component, with its options

Made by `python -m docs.reference` from the program itself. `firstlight components` lists the same on the command \
line, with what you and installed packages have added, and `firstlight components --schema` prints the JSON Schema \
of the experiment file for an editor.

A component is one definition: a frozen dataclass whose fields are its options, with the constraints on the fields, \
and a docstring that explains each; of some kinds it is a function. Your own come in by the decorator of their kind.
"""


def page() -> str:
    """The text of components.md."""
    parts = [INTRODUCTION.rstrip()]
    for kind, registry in all_kinds().items():
        parts.append(f"## {kind.capitalize()}: `@fl.{kind}`")
        for name in sorted(registry.ours()):
            parts += [f"### `{name}`", *_text(registry.about(name))]
            if rows := [*_rows(registry, name)]:
                parts.append(table(("option", "default", "meaning"), rows))
    return "\n\n".join(parts) + "\n"


def _text(about: str) -> Iterator[str]:
    """The paragraphs of a docstring; one with formulas in several lines keeps them."""
    for paragraph in re.split(r"\n\s*\n", about):
        lines = [
            line.strip().replace("*", "\\*").replace("|", "\\|").replace("_", "\\_") for line in paragraph.split("\n")
        ]
        yield " ".join(lines)


def _rows(registry: Registry[Any], name: str) -> Iterator[tuple[str, str, str]]:
    for option in registry.options(name):
        if not (registry.kind == "layer" and option.name == "name"):  # all layers have it
            meaning = f"{option.explanation} ({option.allowed})"
            yield f"`{option.name}`", f"`{option.default_text}`" if option.default_text else "", meaning
