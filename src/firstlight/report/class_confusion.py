"""The confusion matrices of several groups side by side, each added up over its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from firstlight.records.group import Group
from firstlight.report import charts
from firstlight.report.by_task import by_task
from firstlight.report.captions import most_confused
from firstlight.report.document import Beside, Block, Chart, Section
from firstlight.report.format import counted

MATRICES = 12  # at most so many stand side by side


def blocks(task: Sequence[Group]) -> list[Block]:
    """The matrices of the first groups of a task."""
    matrices = tuple(
        Chart(
            spec=charts.confusion(group.confusion, group.task[1], small=True),
            description=f"Confusion matrix of {group.name}: rows are the true classes, columns the predicted ones.",
            caption=f"{group.name}{_seeds(group)}. {_most_confused(group)}",
            width=380,
        )
        for group in task[:MATRICES]
    )
    several = any(len(group.averaged) > 1 for group in task)
    rest = len(task) - len(matrices)
    caption = (
        f"Confusion matrices{', added up over the seeds' * several}. Rows are the true classes, columns the predicted "
        "ones; the colour is the share of the row, with mistakes in their own hue."
    )
    return [Beside(matrices, caption=caption + (f" {counted(rest, 'other')} are left out." if rest else ""))]


def _most_confused(group: Group) -> str:
    return most_confused(replace(group.first.test, confusion=group.confusion))


def _seeds(group: Group) -> str:
    return f", {counted(len(group.averaged), 'seed')}" if len(group.averaged) > 1 else ""


def section(groups: Sequence[Group]) -> Section:
    """The matrices, for each task."""
    return by_task("What is confused", "confusion", groups, blocks)
