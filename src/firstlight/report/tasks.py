"""Sections that treat each task by itself: accuracies compare only where images and classes are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from firstlight.records.group import Group, tasks
from firstlight.report.document import Block, Heading, Section
from firstlight.report.format import task_name


def by_task(
    title: str, anchor: str, groups: Sequence[Group], blocks: Callable[[list[Group]], Iterable[Block]]
) -> Section | None:
    """A section whose blocks are made for each task, under a heading where there are several.

    A task without any block has no heading; without any at all, there is no section.
    """
    found = tasks(groups)
    made: list[Block] = []
    for task in found:
        if its := list(blocks(task)):
            made += [Heading(task_name(*task[0].task)), *its] if len(found) > 1 else its
    return Section(title, anchor, tuple(made)) if made else None
