"""The command that explains a run, where it is not explained yet."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from firstlight.records.group import Group
from firstlight.report.document import Block, Code, Section

KIND = "explain-command"


def numbers(group: Group) -> str | None:
    """The name of a single run without an explanation."""
    if len(group.runs) != 1 or group.first.explanation is not None:
        return None
    return group.first.name


def section(groups: Sequence[Group]) -> Section | None:
    found = numbers(groups[0]) if len(groups) == 1 else None
    return None if found is None else Section("Test images", "explain", blocks(found))


def blocks(name: str) -> tuple[Block, ...]:
    said = "To add feature maps, attribution, an embedding and neighbours, in the folder around the run’s:"
    return (Code(f"firstlight explain {shlex.quote(name)}", title=said, kind=KIND),)


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd runs, by what is odd."""
    return {"a hostile name": blocks("it's <b>")}
