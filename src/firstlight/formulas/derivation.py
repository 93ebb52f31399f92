"""The derivation of a component's gradient, read from the docstring of its own file."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

HEADING = "Derivation"


@dataclass(frozen=True)
class Step:
    """A line of a derivation: a formula, which may go on from the one before with =, and the reason for it."""

    formula: str
    reason: str = ""


Derivation: TypeAlias = tuple[Step | str, ...]  # steps, and paragraphs of text between them


def derivation_of(component: Any) -> Derivation:
    """The derivation in the file of a component, a class or a value; () where it has none.

    It stands in the module's docstring, below a line "Derivation": indented lines are steps, each a formula and, two
    spaces apart or more, its reason. A reason goes on in the next lines where these have no formula: they begin below
    it.
    """
    kind = component if isinstance(component, type) else type(component)
    doc = inspect.cleandoc(getattr(sys.modules.get(kind.__module__), "__doc__", "") or "")
    _, heading, text = f"\n{doc}".partition(f"\n{HEADING}\n")
    return tuple(_read(text)) if heading else ()


def _read(text: str) -> Iterator[Step | str]:
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        if not paragraph.startswith(" "):
            yield " ".join(paragraph.split())
            continue
        steps: list[Step] = []
        for line in paragraph.splitlines():
            if steps and len(line) - len(line.lstrip()) > 20:
                steps[-1] = Step(steps[-1].formula, f"{steps[-1].reason} {line.strip()}".strip())
            else:
                formula, _, reason = re.sub(r" {2,}", "  ", line.strip()).partition("  ")
                steps.append(Step(formula, reason.strip()))
        yield from steps
