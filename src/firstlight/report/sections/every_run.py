"""The test accuracy of every run of every group, by its seed or fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from firstlight.records.group import Group, in_order
from firstlight.records.study_folder import RunKey, run_title
from firstlight.report.document import Block, Cell, Link, Section, Table
from firstlight.report.format import DASH, count, counted, percent

SIGNS = {"interrupted": " †", "diverged": " ‡"}
CAPTION = "The test accuracy of every run. † interrupted: not in the means. ‡ diverged: in the means."


@dataclass(frozen=True)
class EveryRun:
    """What there is of each run.

    titles  of the runs of any group: "seed 0", "fold 2"
    groups  by name, what came of each run: its accuracy as text, or why there is none; and its report, if any
    """

    titles: Mapping[RunKey, str]
    groups: Mapping[str, Mapping[RunKey, tuple[str, Path | None]]]


def numbers(groups: Sequence[Group]) -> EveryRun:
    """Of each group the runs that were asked for, and others that there are."""
    keys = in_order({key for group in groups for key in (*group.asked, *group.runs)})
    said = {key: {group.title(key) for group in groups} for key in keys}
    titles = {key: names.pop() if len(names) == 1 else run_title(key) for key, names in said.items()}
    return EveryRun(titles, {group.name: {key: _outcome(group, key) for key in keys} for group in groups})


def _outcome(group: Group, key: RunKey) -> tuple[str, Path | None]:
    if key in group.runs:
        run = group.runs[key]
        return f"{percent(run.test.accuracy, 2)}{SIGNS.get(run.status, '')}", run.report
    if key in group.unread:
        return "unreadable", None
    return "failed" if key in group.failed else "no result" if key in group.asked else DASH, None


def table(found: EveryRun, folder: Path = Path()) -> Table:
    """A row per group and a column per run, each a link to its own report where it has one, for a page in `folder`."""
    rows = tuple((name, *(_cell(*runs[key], folder) for key in found.titles)) for name, runs in found.groups.items())
    titles = ("run", *found.titles.values())
    return Table(titles=titles, rows=rows, right=frozenset(range(1, len(titles))), caption=CAPTION)


def _cell(text: str, report: Path | None, folder: Path) -> Cell:
    return text if report is None else Link.to(report, text, folder)


def section(groups: Sequence[Group], folder: Path = Path()) -> Section | None:
    """The table, where any group has more than one run: a single run stands in the table of results."""
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
    runs: dict[RunKey, tuple[str, Path | None]]
    runs = {0: (percent(0.9, 2), Path("<b>/report.html")), 1: ("failed", None), 7: (DASH, None)}
    titles = {key: run_title(key) for key in runs}
    return {"links and failures": (table(EveryRun(titles, {"<b>": runs, "constructor": runs})),)}
