"""The settings in which several runs differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from firstlight.records.group import Group, present
from firstlight.report.document import Block, Table
from firstlight.report.settings import differences


def numbers(groups: Sequence[Group]) -> dict[str, tuple[str, ...]]:
    """The settings whose values differ, with the value in each group; the seed, where each has a single run."""
    single = all(len(group.runs) == 1 for group in groups)
    rows = differences({group.name: group.first for group in groups})
    return {key: tuple(values) for key, *values in rows if single or key != "seed"}


def table(names: Sequence[str], found: Mapping[str, Sequence[str]], several: bool) -> Table:
    """A row a group and a column a setting, or the other way about where there are more settings than groups."""
    only = ", and in each only the seed changes" if several else ""
    caption = f"The settings in which they differ; all others are the same{only}."
    if len(found) > len(names):
        return Table(titles=("setting", *names), rows=tuple((k, *v) for k, v in found.items()), caption=caption)
    rows = tuple(zip(names, *found.values(), strict=True))
    return Table(titles=("run", *found), rows=rows, caption=caption)


def blocks(groups: Sequence[Group]) -> list[Block]:
    """The table, where they differ in anything."""
    there = present(groups)
    found = numbers(there)
    several = any(len(group.runs) > 1 for group in there)
    return [table([group.name for group in there], found, several)] if found else []
