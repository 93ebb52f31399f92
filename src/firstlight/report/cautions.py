"""What a reader must know of several runs before believing them: what is missing, and how the best was chosen."""

from __future__ import annotations

from collections.abc import Sequence

from firstlight.evaluation import same_images
from firstlight.records.group import Group, leader, named_runs, paired, present, selected, tasks
from firstlight.report.document import Section, Text
from firstlight.report.format import count, counted, listed, points, task_name
from firstlight.report.notes import merged

NO_SELECTION = (
    "Without a validation split in every run, nothing can be chosen by validation, and choosing by the test accuracy "
    "would flatter the winner: so none is called the best. Differences are to the first."
)


def section(groups: Sequence[Group]) -> Section:
    """What is missing and what may flatter the numbers as warnings, how it was chosen and what it can tell as notes."""
    warnings = [*_missing(groups), *_other_images(groups), *merged(named_runs(groups)), *_interrupted(groups)]
    notes = [*_selection(groups), *_tasks(groups), *_test_reads(groups), *_precision(groups)]
    texts = [Text(text, tone="warning") for text in warnings] + [Text(text, tone="note") for text in notes]
    return Section("Before you trust it", "notes", tuple(texts))


def _missing(groups: Sequence[Group]) -> list[str]:
    """The runs without a result, and why."""
    said = []
    for group in groups:
        if seeds := [f"seed {seed}" for seed in group.missing if seed not in group.failed]:
            said.append(f"No result yet: {group.name}, {listed(seeds)}.")
    for group in groups:
        said += [f"{group.name}, seed {seed} came to no result: {why}" for seed, why in group.failed.items()]
        said += [f"{group.name}, seed {seed}: {why}" for seed, why in group.unread.items()]
    return said


def _other_images(groups: Sequence[Group]) -> list[str]:
    pairs = [pair for task in tasks(groups) for other in task for pair in paired(leader(task), other)]
    if all(same_images(one.predictions, other.predictions) for one, other in pairs):
        return []
    return ["The runs were not tested on the same images: their accuracies do not compare."]


def _interrupted(groups: Sequence[Group]) -> list[str]:
    return [
        f"Of {group.name}, interrupted runs are left out of the means."
        for group in groups
        if len(group.averaged) < len(group.runs)
    ]


def _selection(groups: Sequence[Group]) -> list[str]:
    """How the best of each task was chosen."""
    found = tasks(groups)
    said = {task_name(*task[0].task): selection(task) if selected(task) else NO_SELECTION for task in found}
    if len({selected(task) for task in found}) == 1:
        return [selection(groups) if selected(found[0]) else NO_SELECTION]
    return [f"Of {task}: {how}" for task, how in said.items()]


def selection(groups: Sequence[Group]) -> str:
    """How the best was chosen. Over a single seed there is no mean."""
    sizes = {len(group.averaged) > 1 for group in present(groups)}
    number = "highest validation accuracy" if sizes == {False} else "highest mean validation accuracy over its seeds"
    alone = ", or the one of its seed where it has no other" if len(sizes) > 1 else ""
    return (
        f"Selection is by validation: the best is the one with the {number}{alone}. The test accuracies are shown for "
        "every one, but choosing by them would flatter the winner."
    )


def _tasks(groups: Sequence[Group]) -> list[str]:
    if len(tasks(groups)) == 1:
        return []
    return [
        "Not all of them answer the same question: accuracies compare only where images and classes are the same, and "
        "so does the choice of the best."
    ]


def _test_reads(groups: Sequence[Group]) -> list[str]:
    """How often the test images were read, counted, with the runs of which they were read before."""
    found = named_runs(groups)
    before = [name for name, run in found.items() if run.measured_before]
    if not before:
        return [f"The test images were read once in each of the {counted(len(found), 'run')}, at its end."]
    return [
        f"The test images were read once in {count(len(found) - len(before))} of {counted(len(found), 'run')}. In the "
        f"others they were read when the run was interrupted and again at its end: {listed(before)}."
    ]


def _precision(groups: Sequence[Group]) -> list[str]:
    """What the standard deviation over seeds, or the interval of a single run, can tell."""
    found = present(groups)
    single = [group for group in found if len(group.averaged) == 1]
    said = []
    if len(single) < len(found):
        said.append(
            "The standard deviation over seeds (n − 1 in its divisor) measures how much the random draws of training "
            "change a number. It does not cover the choice of the test images, which are the same for every seed where "
            "the set has its own."
        )
    if single:
        whose = listed([group.name for group in single]) if len(single) < len(found) else "each of them"
        intervals = [group.first.test.accuracy_interval for group in single]
        said.append(
            f"Of {whose} there is one seed, and so no standard deviation: how much the random draws of training change "
            "such a number is not known. The interval of its accuracy reaches about "
            f"{points(max(high - low for low, high in intervals) / 2)} to either side: a difference smaller than that "
            "may be chance, as other test images, or another seed, could reverse it."
        )
    return said
