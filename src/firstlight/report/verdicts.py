"""The outcome of a comparison and of a study in two or three sentences, computed from the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from firstlight.evaluation import LEVEL
from firstlight.records.group import Group, leader, ranked, selected, tasks, winners
from firstlight.records.run import RunRecord
from firstlight.report.contrasts import contrasts
from firstlight.report.format import accuracy, count, counted, listed, percent, plus_minus, points, task_name


def comparison(groups: Sequence[Group]) -> str:
    """The outcome of a comparison of single runs: the best by validation where one was chosen, and the next."""
    best, *others = ranked(groups)
    test = best.first.test
    on_test = f"on {counted(test.images, 'test image')} it is right on {accuracy(test)}"
    if not others:
        return f"There is one run, {best.name}: {on_test}."
    if not selected(groups):
        return (
            f"Of {counted(len(groups), 'run')}, none can be called the best: not every one has a validation split. "
            f"{best.name} comes first as given; {on_test}."
        )
    of = f"Of {counted(len(groups), 'run')}"
    level = winners(groups)
    if len(level) > 1:
        return f"{of}, {_equal(level)}. Of {best.name}, {on_test}."
    second = others[0].first.test
    judged = _judged(groups, best, others[0])
    return (
        f"{of}, {best.name} is the best by validation; {on_test}. {others[0].name}, next by validation, reaches "
        f"{percent(second.accuracy)}: {judged}."
    )


def _equal(level: Sequence[Group]) -> str:
    """That several are the best by validation."""
    return f"{listed([group.name for group in level])} are equally good by validation: the same accuracy, the same loss"


def _judged(groups: Sequence[Group], best: Group, other: Group) -> str:
    """What McNemar's test says of two of the runs, or their intervals where the test images differ."""
    task = [group for group in groups if group.task == best.task]
    found = next((contrast for contrast in contrasts(task) if contrast.other is other), None)
    if found is not None and found.p is not None and found.difference is not None:
        if found.p >= LEVEL:
            return f"a difference that may be chance ({found.test})"
        word = "less" if found.difference > 0 else "more, yet the choice is made by validation"
        return f"clearly {word} ({found.test})"
    first, second = best.first.test, other.first.test
    if first.accuracy_interval[0] > second.accuracy_interval[1]:
        return "clearly less"
    if first.accuracy_interval[1] < second.accuracy_interval[0]:
        return "clearly more, yet the choice is made by validation"
    return "their intervals overlap, so the difference may be chance"


def precision(runs: Mapping[str, RunRecord]) -> str:
    """What the intervals of the accuracies of single runs can tell."""
    widths = [high - low for low, high in (record.test.accuracy_interval for record in runs.values())]
    return (
        f"The intervals reach about {points(max(widths) / 2)} to either side. A difference smaller than that may be "
        "chance: other test images, or another seed, could reverse it."
    )


def study(groups: Sequence[Group]) -> str:
    """The outcome of groups of runs: the best of each task, the published numbers, and what is missing."""
    found = tasks(groups)
    said = [_best_of(task, alone=len(found) == 1) for task in found]
    said += _published(groups)
    asked = sum(len(group.asked) for group in groups)
    missing = asked - sum(len(group.runs) for group in groups)
    if missing:
        said.append(f"{count(missing)} of {counted(asked, 'run')} {'has' if missing == 1 else 'have'} no result yet.")
    return " ".join(said)


def _best_of(task: Sequence[Group], alone: bool) -> str:
    where = "" if alone else f"On {task_name(*task[0].task)}, "
    ahead = leader(task)
    reaches = f"{plus_minus(ahead.accuracy)} of the test images ({counted(len(ahead.averaged), 'seed')})"
    if len(task) == 1:
        return f"{where}{ahead.name} is right on {reaches}."
    if not selected(task):
        low, *_, high = sorted(task, key=lambda group: group.accuracy.mean)
        return (
            f"{where or 'Of '}{counted(len(task), 'experiment')}, none is chosen as the best, as not every run has a "
            f"validation split; their test accuracies go from {plus_minus(low.accuracy)} ({low.name}) to "
            f"{plus_minus(high.accuracy)} ({high.name})."
        )
    of = f"Of {counted(len(task), 'experiment')}" if alone else f"{where}of {counted(len(task), 'experiment')}"
    rest = [group for group in task if group is not ahead]
    second = leader(rest)
    level = winners(task)
    if len(level) > 1:
        return f"{of}, {_equal(level)}. {ahead.name} is right on {reaches}."
    [contrast] = [contrast for contrast in contrasts(task) if contrast.other is second]
    how = "" if contrast.p is None else f" ({contrast.test})"
    return (
        f"{of}, {ahead.name} is the best by validation: {reaches}. {second.name}, next by validation, reaches "
        f"{plus_minus(second.accuracy)}: {contrast.verdict}{how}."
    )


def _published(groups: Sequence[Group]) -> list[str]:
    """How many of the published numbers are reached, and which are not."""
    numbers = [(group, claim) for group in groups for claim in group.claims]
    given = [(group, claim, claim.ours) for group, claim in numbers if claim.ours is not None]
    if not given:
        return []
    one = len(given) == 1
    tried = "" if len(given) == len(numbers) else " that was tried" if one else " that were tried"
    short = [
        f"{group.name} ({'validation ' * (claim.measure == 'validation')}{plus_minus(ours)}, published "
        f"{percent(claim.number, 2)})"
        for group, claim, ours in given
        if not claim.reached
    ]
    how = "within two standard deviations, or beaten"
    if not short:
        which = f"The published number{tried} is" if one else f"All {count(len(given))} published numbers{tried} are"
        return [f"{which} reached {how}."]
    verb = "" if not tried else " is" if one else " are"
    done = f"{count(len(given) - len(short))} of {counted(len(given), 'published number')}{tried}{verb} reached {how}"
    return [f"{done}; not by {listed(short)}."]
