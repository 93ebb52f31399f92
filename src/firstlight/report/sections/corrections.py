"""Corrected labels: two recipes on the same test images, by the labels before and after, so that neither is mistaken.

A higher accuracy on corrected test labels is not a better net. So both nets are measured by both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from firstlight.evaluation import McNemar
from firstlight.records.group import Group, noun, present, tasks
from firstlight.report.document import Block, Section, Table, Text
from firstlight.report.format import THIN, count, counted, percent, signed
from firstlight.report.relabelled import Relabelled, corrections_differ, of_groups
from firstlight.report.tasks import by_task
from firstlight.text import listed


@dataclass(frozen=True, eq=False)
class Corrected:
    """Two groups on the test images that both have, summed over their runs two by two.

    first, second  their names; the second has the corrections, or more of them
    images         that both were tested on; `changed` of them bear another label in the second
    dropped        test images of the first that the second was not tested on, as they were dropped; `added` the reverse
    old, new       the accuracies of both by the labels of the first, and by those of the second
    alone          the accuracies of each on its own test images with its own labels, as other tables have them
    pairs          how many runs of each; `several` what these are, "seed" or "fold"
    tests          of the second net against the first by the old labels and by the new, where each is a single run
    """

    first: str
    second: str
    images: int
    changed: int
    dropped: int
    added: int
    old: tuple[float, float]
    new: tuple[float, float]
    alone: tuple[float, float]
    pairs: int = 1
    several: str = "seed"
    tests: tuple[McNemar, McNemar] | None = None

    @property
    def by_labels(self) -> float:
        """How much of the difference that other tables show is that of the test labels and images."""
        return self.new[0] - self.alone[0]

    @property
    def by_net(self) -> float:
        """How much of it is that of the nets, which are both measured by the labels of the second."""
        return self.alone[1] - self.new[0]


def numbers(task: Sequence[Group]) -> list[Corrected]:
    """Each group of a task whose corrections are others than those of the first, beside it.

    The first is the one whose test images have the fewest corrections.
    """
    first = min(task, key=_corrections)
    others = [group for group in task if group is not first and corrections_differ(first.first, group.first)]
    found = [_corrected(first, other, of_groups(first, other)) for other in others]
    return [each for each in found if each is not None]


def _corrections(group: Group) -> int:
    record = group.first.run.data.corrections
    return record.changed("test") if record else -1


def _corrected(first: Group, second: Group, pairs: Sequence[Relabelled]) -> Corrected | None:
    if not pairs:
        return None
    images = sum(len(pair.before) for pair in pairs)
    old, new = (np.sum([[one.sum() for one in pair.corrects(old)] for pair in pairs], axis=0) for old in (True, False))
    dropped, added = (sum(pair.left_out[side] for pair in pairs) for side in (0, 1))
    tests = (pairs[0].test(True), pairs[0].test(False)) if len(pairs) == 1 else None
    return Corrected(
        first.name,
        second.name,
        images,
        sum(pair.changed for pair in pairs),
        dropped,
        added,
        (float(old[0] / images), float(old[1] / images)),
        (float(new[0] / images), float(new[1] / images)),
        (_alone(first), _alone(second)),
        len(pairs),
        noun([first, second]),
        tests,
    )


def _alone(group: Group) -> float:
    """The accuracy over all images of all its runs."""
    found = [record.predictions.correct for record in group.averaged.values()]
    return float(np.concatenate(found).mean())


def section(groups: Sequence[Group]) -> Section | None:
    """The table of each pair, and what of the difference is that of the labels."""
    return by_task("Corrected labels", "corrected", present(groups), lambda task: blocks(numbers(task)))


def tables(groups: Sequence[Group]) -> list[Table]:
    """The tables alone, for a terminal."""
    return [table(found) for task in tasks(groups) for found in numbers(task)]


def verdict(groups: Sequence[Group]) -> str:
    """How many test labels were corrected, and what of the differences is that of the nets; "" where none were."""
    said = [
        f"By the corrections of {one.second}, {_changes(one)}: by the same labels the nets differ by "
        f"{signed(one.by_net)} points; {signed(one.by_labels)} points are those of the labels alone."
        for task in tasks(groups)
        for one in numbers(task)
        if one.changed + one.dropped + one.added
    ]
    return " ".join(said)


def blocks(found: Sequence[Corrected]) -> list[Block]:
    made: list[Block] = []
    for one in found:
        made += [table(one), Text(caption(one))]
    return made


def table(found: Corrected) -> Table:
    """Both nets by both labels."""
    rows = [
        (found.first, percent(found.old[0], 2), percent(found.new[0], 2), percent(found.alone[0], 2)),
        (found.second, percent(found.old[1], 2), percent(found.new[1], 2), percent(found.alone[1], 2)),
    ]
    by = [found.old[1] - found.old[0], found.new[1] - found.new[0], found.alone[1] - found.alone[0]]
    tests = [*(found.tests or (None, None)), None]
    shown = (_difference(each, test) for each, test in zip(by, tests, strict=True))
    titles = ("net", "by old labels", "by new labels", "each by its own")
    return Table(
        rows=(*rows, ("difference, points", *shown)),
        titles=titles,
        right=frozenset({1, 2, 3}),
        strong=frozenset({2}),
        caption=f"The {counted(found.images, 'test image')} that both were tested on, by the labels of {found.first} "
        f"(old) and by those of {found.second} (new); in the last column all of its own, by its own labels.",
    )


def _difference(points: float, test: McNemar | None) -> str:
    between = "" if test is None else f" ({signed(test.interval[0])} to {signed(test.interval[1])})"
    return f"{signed(points)}{between}"


def caption(found: Corrected) -> str:
    """How many test labels changed, and what that makes of the difference."""
    over = f" in {counted(found.pairs, found.several)}" if found.pairs > 1 else ""
    if not found.changed + found.dropped + found.added:
        return (
            f"{found.second} was trained with other corrections of labels than {found.first}, and tested on the same "
            f"images with the same labels{over}: the difference is that of the nets."
        )
    interval = f" In brackets: 95{THIN}% intervals of the difference on these images." if found.tests else ""
    return (
        f"By the corrections of {found.second}, {_changes(found)}{over}. Of the difference of "
        f"{signed(found.alone[1] - found.alone[0])} points between what each has on its own test labels, "
        f"{signed(found.by_labels)} are those of the labels: as much as {found.first}, the same net, gains by them. "
        f"{signed(found.by_net)} are those of the nets, by the labels of {found.second}.{interval} The labels that a "
        "net has helped to find suit that net: judge by the labels before as well."
    )


def _changes(found: Corrected) -> str:
    parts = [f"{count(found.changed)} of {counted(found.images, 'test label')} {_are(found.changed)} changed"]
    parts += [f"{counted(found.dropped, 'test image')} {_are(found.dropped)} dropped"] if found.dropped else []
    parts += [f"{counted(found.added, 'test image')} {_are(found.added)} back"] if found.added else []
    return listed(parts)


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd corrections, by what is odd."""
    test = McNemar(60, 5, 1, p=0.22, difference=4 / 60, interval=(-0.02, 0.15))
    one = Corrected("<b>", "constructor", 60, 1, 1, 0, (0.8, 0.85), (0.82, 0.9), (0.8, 0.9), tests=(test, test))
    none = Corrected("a", "b", 60, 0, 0, 0, (0.8, 0.8), (0.8, 0.8), (0.8, 0.8), pairs=3)
    return {"one": tuple(blocks([one])), "none changed": tuple(blocks([none])), "nothing": tuple(blocks([]))}
