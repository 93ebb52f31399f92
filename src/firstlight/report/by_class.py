"""Groups of runs class by class: accuracies, differences and confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from firstlight.evaluation import Spread
from firstlight.records.group import Group, leader, selected
from firstlight.report import charts, seeds
from firstlight.report.document import Beside, Block, Chart, Table
from firstlight.report.format import UNDEFINED, counted, plus_minus

MATRICES = 12  # at most so many confusion matrices stand side by side
CLASSES = 20  # so many classes are shown; of more, those in which the groups differ most


def blocks(task: Sequence[Group]) -> tuple[Block, ...]:
    """Class by class: the accuracies, the differences to the leader, and the confusion matrices."""
    ahead = leader(task)
    found = {group.name: group.class_accuracies() for group in task}
    means = {name: [value.mean if value else None for value in values] for name, values in found.items()}
    shown = _telling(means)
    names = [task[0].task[1][k] for k in shown]
    left_out = "" if len(shown) == len(ahead.task[1]) else f" Shown are the {CLASSES} classes that differ most."
    made: list[Block] = []
    if len(task) > 1:
        made.append(_class_differences(ahead, task, shown, names, left_out, selected(task)))
    rows = tuple(
        (name, *(_share(values[k]) for values in found.values())) for name, k in zip(names, shown, strict=True)
    )
    several = any(len(group.averaged) > 1 for group in task)
    made.append(
        Table(
            titles=("class", *found),
            rows=rows,
            right=frozenset(range(1, len(found) + 1)),
            caption=f"The accuracy (recall) of each class{', mean ± standard deviation over the seeds' * several}."
            + (left_out if len(task) == 1 else ""),
        )
    )
    return (*made, _matrices(task))


def _share(value: Spread | None) -> str:
    return UNDEFINED if value is None else plus_minus(value)


def _telling(means: Mapping[str, Sequence[float | None]]) -> list[int]:
    """The classes to show, in their order: all, or those in which the groups differ most."""
    table = np.array([[np.nan if value is None else value for value in values] for values in means.values()])
    known = np.where(np.isnan(table).any(axis=0), 0.0, np.ptp(table, axis=0))
    return sorted(np.argsort(-known, kind="stable")[:CLASSES].tolist())


def _class_differences(
    ahead: Group,
    task: Sequence[Group],
    shown: Sequence[int],
    names: Sequence[str],
    left_out: str,
    chosen: bool,
) -> Chart:
    """Each group less the leader, over the seeds that both have: another seed may be another split."""
    differing: dict[str, list[float | None]] = {}
    for group in task:
        common = set(group.averaged) & set(ahead.averaged)
        if group is not ahead and common:
            ours, theirs = group.class_accuracies(common), ahead.class_accuracies(common)
            differing[group.name] = [_less(ours[k], theirs[k]) for k in shown]
    sizes = [
        (abs(value), name, run)
        for run, values in differing.items()
        for name, value in zip(names, values, strict=True)
        if value is not None
    ]
    size, name, run = max(sizes, default=(0.0, "", ""))
    to = f"{ahead.name}, {'the best by validation' if chosen else 'the first'}"
    most = f" It is greatest in {run}, class {name}: {100 * size:.1f} points." if size else " There is no difference."
    return Chart(
        spec=seeds.class_differences(names, differing),
        description=f"The accuracy of each class in each run less that in {to}.",
        caption=f"The accuracy of each class less that in {to}, over the seeds of both, in percentage points: blue is "
        "better, "
        "orange worse, in full colour from ten on."
        f"{most}{left_out}",
        width=max(360, 140 + 90 * len(differing)),
    )


def _less(ours: Spread | None, theirs: Spread | None) -> float | None:
    return None if ours is None or theirs is None else ours.mean - theirs.mean


def _matrices(task: Sequence[Group]) -> Beside:
    matrices = tuple(
        Chart(
            spec=charts.confusion(group.confusion, group.task[1], small=True),
            description=f"Confusion matrix of {group.name}: rows are the true classes, columns the predicted ones.",
            caption=f"{group.name}, {counted(len(group.averaged), 'seed')}",
            width=380,
        )
        for group in task[:MATRICES]
    )
    rest = len(task) - len(matrices)
    return Beside(
        matrices,
        caption="Confusion matrices, added up over the seeds. Rows are the true classes, columns the predicted ones; "
        "the colour is the share of the row, with mistakes in their own hue."
        + (f" {counted(rest, 'other')} of the runs are left out." if rest else ""),
    )
