"""The test accuracy of every run of every group, by its seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from firstlight.records.group import Group
from firstlight.report.document import Cell, Link, Section, Table
from firstlight.report.format import DASH, count, counted, percent

SIGNS = {"interrupted": " †", "diverged": " ‡"}
CAPTION = "The test accuracy of every run. † interrupted: not in the means. ‡ diverged: in the means."


def table(groups: Sequence[Group], folder: Path) -> Table:
    """A row a group and a column a seed, each a link to its own report where it has one, for a page in `folder`."""
    seeds = sorted({seed for group in groups for seed in (*group.asked, *group.runs)})
    return Table(
        titles=("run", *(f"seed {seed}" for seed in seeds)),
        rows=tuple((group.name, *(_cell(group, seed, folder) for seed in seeds)) for group in groups),
        right=frozenset(range(1, len(seeds) + 1)),
        caption=CAPTION,
    )


def _cell(group: Group, seed: int, folder: Path) -> Cell:
    if seed in group.unread:
        return "unreadable"
    if seed not in group.runs:
        return "failed" if seed in group.failed else "no result" if seed in group.asked else DASH
    run = group.runs[seed]
    text = f"{percent(run.test.accuracy, 2)}{SIGNS.get(run.status, '')}"
    return text if run.report is None else Link.to(run.report, text, folder)


def section(groups: Sequence[Group], folder: Path) -> Section | None:
    """The table, where any group has more than one seed: a single run stands in the table of results."""
    if all(len(group.asked) == 1 for group in groups):
        return None
    return Section("Every run", "every", (table(groups, folder),))


def verdict(groups: Sequence[Group]) -> str:
    """How many of the runs that were asked for have no result."""
    asked = sum(len(group.asked) for group in groups)
    missing = asked - sum(len(group.runs) for group in groups)
    if not missing:
        return ""
    return f"{count(missing)} of {counted(asked, 'run')} {'has' if missing == 1 else 'have'} no result yet."
