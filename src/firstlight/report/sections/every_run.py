"""The test accuracy of every run of every group, by its seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from firstlight.records.group import Group
from firstlight.report.document import Block, Cell, Link, Section, Table
from firstlight.report.format import DASH, count, counted, percent

SIGNS = {"interrupted": " †", "diverged": " ‡"}
CAPTION = "The test accuracy of every run. † interrupted: not in the means. ‡ diverged: in the means."


@dataclass(frozen=True)
class EveryRun:
    """What there is of each run.

    seeds   of any group
    groups  by name, what came of each seed: its accuracy as text, or why there is none; and its report, if any
    """

    seeds: Sequence[int]
    groups: Mapping[str, Mapping[int, tuple[str, Path | None]]]


def numbers(groups: Sequence[Group]) -> EveryRun:
    """Of each group the seeds that were asked for, and others of which there are runs."""
    seeds = sorted({seed for group in groups for seed in (*group.asked, *group.runs)})
    return EveryRun(seeds, {group.name: {seed: _outcome(group, seed) for seed in seeds} for group in groups})


def _outcome(group: Group, seed: int) -> tuple[str, Path | None]:
    if seed in group.runs:
        run = group.runs[seed]
        return f"{percent(run.test.accuracy, 2)}{SIGNS.get(run.status, '')}", run.report
    if seed in group.unread:
        return "unreadable", None
    return "failed" if seed in group.failed else "no result" if seed in group.asked else DASH, None


def table(found: EveryRun, folder: Path = Path()) -> Table:
    """A row a group and a column a seed, each a link to its own report where it has one, for a page in `folder`."""
    rows = tuple((name, *(_cell(*runs[seed], folder) for seed in found.seeds)) for name, runs in found.groups.items())
    titles = ("run", *(f"seed {seed}" for seed in found.seeds))
    return Table(titles=titles, rows=rows, right=frozenset(range(1, len(titles))), caption=CAPTION)


def _cell(text: str, report: Path | None, folder: Path) -> Cell:
    return text if report is None else Link.to(report, text, folder)


def section(groups: Sequence[Group], folder: Path = Path()) -> Section | None:
    """The table, where any group has more than one seed: a single run stands in the table of results."""
    if all(len(group.asked) == 1 for group in groups):
        return None
    return Section("Every run", "every", (table(numbers(groups), folder),))


def verdict(groups: Sequence[Group]) -> str:
    """How many of the runs that were asked for have no result."""
    asked = sum(len(group.asked) for group in groups)
    missing = asked - sum(len(group.runs) for group in groups)
    if not missing:
        return ""
    return f"{count(missing)} of {counted(asked, 'run')} {'has' if missing == 1 else 'have'} no result yet."


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd runs, by what is odd."""
    runs = {0: (percent(0.9, 2), Path("<b>/report.html")), 1: ("failed", None), 7: (DASH, None)}
    return {"links and failures": (table(EveryRun([0, 1, 7], {"<b>": runs, "constructor": runs})),)}
