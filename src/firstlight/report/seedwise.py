"""The sections that a study's report and a comparison of several seeds share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from firstlight.records.group import Group, leader, present, selected, tasks
from firstlight.report import by_class, contrasts, effects, grouped, pairs
from firstlight.report.document import Block, Heading, Section, Text
from firstlight.report.format import count, counted, listed, task_name
from firstlight.report.notes import merged
from firstlight.report.pictures import samples, still_wrong

NO_SELECTION = (
    "Without a validation split in every run, nothing can be chosen by validation, and choosing by the test accuracy "
    "would flatter the winner: so none is called the best. Differences are to the first."
)


def sections(groups: Sequence[Group]) -> list[Section]:
    """Cautions, learning curves, which differences are more than chance, and in which classes and images."""
    return [
        Section("Before you trust it", "notes", trust(groups)),
        by_task("Learning", "learning", groups, grouped.learning),
        by_task("Significance of the differences", "significance", groups, contrasts.section),
        *_effects(groups),
        *_engines(groups),
        by_task("Class by class", "classes", groups, by_class.blocks),
        by_task("The images", "images", groups, _images),
    ]


def trust(groups: Sequence[Group]) -> tuple[Block, ...]:
    """What is missing, what may flatter the numbers, and how the choice was made."""
    untried = {group.name: [f"seed {s}" for s in group.missing if s not in group.failed] for group in groups}
    warnings = [f"No result yet: {name}, {listed(seeds)}." for name, seeds in untried.items() if seeds]
    for group in groups:
        warnings += [f"{group.name}, seed {s} came to no result: {why}" for s, why in group.failed.items()]
        warnings += [f"{group.name}, seed {s}: {why}" for s, why in group.unread.items()]
    records = grouped.named_runs(groups)
    warnings += merged(records)
    warnings += [
        f"Of {group.name}, interrupted runs are left out of the means."
        for group in groups
        if len(group.averaged) < len(group.runs)
    ]
    chosen = [bool(selected(task)) for task in tasks(groups)]
    if len(set(chosen)) == 1:
        said = [selection(groups) if chosen[0] else NO_SELECTION]
    else:
        said = [
            f"Of {task_name(*task[0].task)}: {selection(task) if choice else NO_SELECTION}"
            for task, choice in zip(tasks(groups), chosen, strict=True)
        ]
    if len(tasks(groups)) > 1:
        said.append(
            "Not all of them answer the same question: accuracies compare only where images and classes are the same, "
            "and so does the choice of the best."
        )
    said += _test_reads(groups)
    single = [group.name for group in present(groups) if len(group.averaged) == 1]
    if len(single) < len(present(groups)):
        said.append(
            "The standard deviation over seeds (n − 1 in its divisor) measures how much the random draws of training "
            "change a number. It does not cover the choice of the test images, which are the same for every seed where "
            "the set has its own."
        )
    if single:
        whose = listed(single) if len(single) < len(present(groups)) else "each of them"
        said.append(
            f"Of {whose} there is one seed, and so no standard deviation: how much the random draws of training change "
            "such a number is not known."
        )
    return (*(Text(text, tone="warning") for text in warnings), *(Text(text, tone="note") for text in said))


def selection(groups: Sequence[Group]) -> str:
    """How the best was chosen. Over a single seed there is no mean."""
    sizes = {len(group.averaged) > 1 for group in present(groups)}
    number = "highest validation accuracy" if sizes == {False} else "highest mean validation accuracy over its seeds"
    alone = ", or the one of its seed where it has no other" if len(sizes) > 1 else ""
    return (
        f"Selection is by validation: the best is the one with the {number}{alone}. The test accuracies are shown for "
        "every one, but choosing by them would flatter the winner."
    )


def by_task(
    title: str, anchor: str, groups: Sequence[Group], make: Callable[[list[Group]], Iterable[Block]]
) -> Section:
    """A section whose blocks are made for each task, under a heading where there are several."""
    found = tasks(groups)
    blocks: list[Block] = []
    for task in found:
        made = make(task)
        if len(found) > 1:
            blocks.append(Heading(task_name(*task[0].task)))
        blocks += made
    return Section(title, anchor, tuple(blocks))


def _effects(groups: Sequence[Group]) -> list[Section]:
    section = by_task("Effects of the settings", "effects", groups, effects.blocks)
    return [section] if any(not isinstance(block, Heading) for block in section.blocks) else []


def _engines(groups: Sequence[Group]) -> list[Section]:
    found = pairs.pairs(groups)
    blocks = [block for pair in found for block in pairs.blocks(*pair)]
    return [Section("Two engines side by side", "engines", tuple(blocks))] if found else []


def _images(task: Sequence[Group]) -> list[Block]:
    """Images of the run that stands for the best, and what it is most surely wrong about."""
    ahead = leader(task)
    runs = {ahead.name: ahead.first, **{group.name: group.first for group in task if group is not ahead}}
    chosen = "the best by validation" if selected(task) else "the first of them"
    seed = next(iter(ahead.averaged))
    return [
        *samples(ahead.first),
        Heading(f"What {ahead.name} gets wrong, seed {seed}"),
        still_wrong(runs, chosen),
    ]


def _test_reads(groups: Sequence[Group]) -> list[str]:
    """How often the test images were read, counted, with the runs of which they were read before."""
    found = grouped.named_runs(groups)
    before = [name for name, record in found.items() if record.run.result.get("measured_before")]
    if not before:
        return [f"The test images were read once in each of the {counted(len(found), 'run')}, at its end."]
    return [
        f"The test images were read once in {count(len(found) - len(before))} of {counted(len(found), 'run')}. In the "
        f"others they were read when the run was interrupted and again at its end: {listed(before)}."
    ]
