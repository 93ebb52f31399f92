"""Images of the run that stands for the best, and what it is most surely wrong about."""

from __future__ import annotations

from collections.abc import Sequence

from firstlight.records.group import Group, leader, selected
from firstlight.report import pictures
from firstlight.report.by_task import by_task
from firstlight.report.document import Block, Heading, Section


def blocks(task: Sequence[Group]) -> list[Block]:
    """Samples of each split, then test images that it gets wrong, with how many of the others are right."""
    ahead = leader(task)
    runs = {ahead.name: ahead.first, **{group.name: group.first for group in task if group is not ahead}}
    seed = f", seed {next(iter(ahead.averaged))}" if len(ahead.averaged) > 1 else ""
    return [
        *pictures.samples(ahead.first),
        Heading(f"What {ahead.name} gets wrong{seed}"),
        pictures.still_wrong(runs, "the best by validation" if selected(task) else "the first of them"),
    ]


def section(groups: Sequence[Group]) -> Section | None:
    """The images of each task."""
    return by_task("The images", "images", groups, blocks)
