"""What a reader must know of several runs before believing them: what is missing, and how the best was chosen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from firstlight.cautions import Caution
from firstlight.evaluation import same_images
from firstlight.records.group import Group, leader, named_runs, noun, paired, present, selected, tasks
from firstlight.records.run import RunRecord
from firstlight.report import selection
from firstlight.report.document import Section, Text
from firstlight.report.format import THIN, count, counted, percent, points, task_name
from firstlight.report.relabelled import relabelled
from firstlight.text import listed

NUMERAL = re.compile(r"\d[\d,.]*")
WEIGHTS = 12  # classes: of more, only the ends are named one by one
NAMED = 3  # at most so many files are named one by one
NO_SELECTION = (
    "Without a validation split in every run, nothing can be selected by validation, and selecting by the test "
    "accuracy would be optimistically biased: so none is called the best. Differences are to the first."
)


def section(groups: Sequence[Group]) -> Section | None:
    """What is missing and what may flatter the numbers as warnings, how it was chosen and what it can tell as notes."""
    there = present(groups)
    if not there:
        return None
    single = len(groups) == 1 and len(groups[0].asked) == len(groups[0].runs) == 1
    return Section("Before you trust it", "notes", of_run(there[0].first) if single else of_several(groups))


def of_several(groups: Sequence[Group]) -> tuple[Text, ...]:
    """The warnings first, then how the best was chosen and how often the test images were read."""
    warnings = [*_missing(groups), *_other_images(groups), *merged(named_runs(groups)), *_interrupted(groups)]
    notes = [*_selection(groups), *_tasks(groups), *_kept_together(groups), *_test_reads(groups), *_precision(groups)]
    return (*(Text(text, tone="warning") for text in warnings), *(Text(text, tone="note") for text in notes))


def _missing(groups: Sequence[Group]) -> list[str]:
    """The runs without a result, and why."""
    said = []
    for group in groups:
        if missing := [group.title(key) for key in group.missing if key not in group.failed]:
            said.append(Caution.NO_RESULT.text(f"No result yet: {group.name}, {listed(missing)}."))
    for group in groups:
        said += [
            Caution.NO_RESULT.text(f"{group.name}, {group.title(key)} has no result: {why}")
            for key, why in group.failed.items()
        ]
        said += [
            Caution.NO_RESULT.text(f"{group.name}, {group.title(key)}: {why}") for key, why in group.unread.items()
        ]
    return said


def _other_images(groups: Sequence[Group]) -> list[str]:
    pairs = [pair for task in tasks(groups) for other in task for pair in paired(leader(task), other)]
    others = [pair for pair in pairs if not same_images(pair[0].predictions, pair[1].predictions)]
    if not others:
        return []
    if all(relabelled(*pair) is not None for pair in others):
        return [
            Caution.CORRECTED_TEST_LABELS.text(
                "Labels of test images were corrected in some of the runs: their accuracies, also on validation "
                "images, are not directly comparable. “Corrected labels” evaluates the nets on the same labels."
            )
        ]
    return [
        Caution.OTHER_TEST_IMAGES.text(
            "The runs were not tested on the same images: their accuracies are not comparable."
        )
    ]


def _kept_together(groups: Sequence[Group]) -> list[str]:
    """Whether the splits of all runs kept images together in groups, of some, or of none."""
    found = named_runs(groups)
    by = {name: run.groups.by for name, run in found.items() if run.groups and not any(run.groups.divided.values())}
    if not by:
        return []
    if len(by) < len(found):
        return [
            f"Images were kept together in groups by the splits of {_named(list(by))} alone: the others may be "
            "tested on images that resemble training images."
        ]
    ways = listed(dict.fromkeys(by.values()), "or")
    return [f"No split of any run divides a group, as was checked after each; images were kept together by {ways}."]


def _interrupted(groups: Sequence[Group]) -> list[str]:
    return [
        Caution.INTERRUPTED_RUNS_LEFT_OUT.text(f"Of {group.name}, interrupted runs are left out of the means.")
        for group in groups
        if len(group.averaged) < len(group.runs)
    ]


def _selection(groups: Sequence[Group]) -> list[str]:
    """How the best of each task was chosen; nothing of one alone."""
    if len(groups) == 1:
        return []
    found = tasks(groups)
    said = {task_name(*task[0].task): _how_chosen(task) if selected(task) else NO_SELECTION for task in found}
    if len({selected(task) for task in found}) == 1:
        return [_how_chosen(groups) if selected(found[0]) else NO_SELECTION]
    return [f"Of {task}: {how}" for task, how in said.items()]


def _how_chosen(groups: Sequence[Group]) -> str:
    """How the best was chosen. Over a single seed there is no mean."""
    sizes = {len(group.averaged) > 1 for group in present(groups)}
    several = noun(present(groups))
    over = f"highest mean validation accuracy over its {several}s"
    number = "highest validation accuracy" if sizes == {False} else over
    alone = f", or the one of its {several} where it has no other" if len(sizes) > 1 else ""
    return (
        f"Selection is by validation: the best is the one with the {number}{alone}. The test accuracies are shown "
        "for all, but selecting by them would be optimistically biased."
    )


def _tasks(groups: Sequence[Group]) -> list[str]:
    if len(tasks(groups)) == 1:
        return []
    return [
        "Not all of them solve the same task: accuracies, and the choice of the best, are comparable only for the same "
        "images and classes."
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
    if any(len(group.averaged) > 1 and not group.over_folds for group in found):
        said.append(
            "The standard deviation over seeds (n − 1 in its divisor) measures how much the randomness of training "
            "changes a number. It does not cover the choice of the test images, which are the same for every seed if "
            "the dataset has its own."
        )
    if single:
        whose = listed([group.name for group in single]) if len(single) < len(found) else "each of them"
        intervals = [group.first.test.accuracy_interval for group in single]
        said.append(
            f"Of {whose} there is one {noun(single)}, and so no standard deviation: how much the randomness of "
            "training changes such a number is not known. The interval of its accuracy reaches about "
            f"{points(max(high - low for low, high in intervals) / 2)} to either side: a smaller difference may be due "
            "to chance, as other test images, or another seed, could reverse it."
        )
    return said


# --- one run


def of_run(record: RunRecord) -> tuple[Text, ...]:
    """The warnings first, then how the split and the selection were made."""
    found = [*_ending(record), *_leaks(record), *_near_copies(record), *_source_files(record)]
    warnings = [Text(text, tone="warning") for text in found]
    notes = [*_method(record), *_executor(record), *_interval_of_run(record)]
    return (*warnings, *(Text(text, tone="note") for text in notes))


def merged(records: Mapping[str, RunRecord]) -> list[str]:
    """The warnings of several runs, each once, with the names of the runs unless all have it.

    Those that differ in nothing but their numbers, as each seed has its own split, are told with those of the first.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for name, record in records.items():
        for note in of_run(record):
            if note.tone == "warning":
                found.setdefault(NUMERAL.sub("#", note.text), []).append((name, note.text))
    texts = []
    for told in found.values():
        names, versions = [name for name, _ in told], {text for _, text in told}
        whose = "" if len(names) == len(records) else f"{_named(names)}: "
        rest = f" (Of {names[0]}; the numbers of the others differ.)" if len(versions) > 1 else ""
        texts.append(f"{whose}{told[0][1]}{rest}")
    return texts


def _ending(record: RunRecord) -> list[str]:
    done = f"after {counted(record.epochs_run, 'epoch')}" if record.epochs_run else "in its first epoch"
    if record.status == "interrupted":
        cause = f" {record.stopped_because.rstrip('.')}." if record.stopped_because else ""
        return [
            Caution.INTERRUPTED.text(
                f"The run was interrupted {done} of {record.epochs_asked}.{cause} "
                "The numbers are those of the weights at that point."
            )
        ]
    if record.status == "diverged":
        cause = f" {record.stopped_because.rstrip('.')}." if record.stopped_because else ""
        return [
            Caution.DIVERGED.text(
                f"Training diverged {done} of {record.epochs_asked}: its loss was no longer finite.{cause} "
                f"The numbers are those of {selection.weights(record)}, from before the divergence."
            )
        ]
    return []


def _leaks(record: RunRecord) -> list[str]:
    checks = record.checks
    texts = list(record.doubtful_groups)
    for pair, n in record.groups.divided.items() if record.groups is not None else ():
        if n:
            texts.append(
                Caution.DIVIDED_GROUPS.text(
                    f"{counted(n, 'group')} {'is' if n == 1 else 'are'} both in {listed(pair.split('-'))}: the "
                    "accuracy may be too high."
                )
            )
    for (first, second), n in checks.across.items():
        if n:
            verb = "is" if n == 1 else "are"
            harm = "The test accuracy may be too high." if "test" in (first, second) else "The selection may be biased."
            texts.append(
                Caution.COPIES_ACROSS_SPLITS.text(
                    f"{counted(n, 'image')} of the {second} split {verb} also in the {first} split, pixel for pixel. "
                    f"{harm}"
                )
            )
    within = {split: n for split, n in checks.within.items() if n}
    if within:
        found = listed([f"{count(n)} in {split}" for split, n in within.items()])
        texts.append(Caution.COPIES_WITHIN_SPLIT.text(f"Some images occur more than once in their own split: {found}."))
    if checks.conflicting:
        verb = "has" if checks.conflicting == 1 else "have"
        texts.append(
            Caution.COPIES_WITH_OTHER_LABELS.text(
                f"{counted(checks.conflicting, 'image')} {verb} an exact copy with another label."
            )
        )
    for split, names in checks.missing.items():
        texts.append(
            Caution.EMPTY_CLASSES.text(
                f"The {split} split has no images of {_named(names)}: how well these are classified is not known."
            )
        )
    return texts


def _source_files(record: RunRecord) -> list[str]:
    texts = []
    unverified, aside = record.unverified_files, record.set_aside
    if unverified:
        texts.append(
            Caution.UNVERIFIED_FILES.text(
                f"Not verified: {_named(unverified)}. The checksum is not the published one, or none is known, so "
                "these may not be the images that are known by this name."
            )
        )
    if aside:
        reasons = [f"{path} ({reason})" for path, reason in aside.items()]
        texts.append(
            Caution.UNREADABLE_FILES.text(
                f"{counted(len(aside), 'file')} could not be read and were set aside: {_named(reasons)}."
            )
        )
    return texts


def _named(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return listed([*names[:NAMED], f"{counted(more, 'other')}"] if more > 0 else list(names))


def _times(record: RunRecord) -> str:
    return "when the run was interrupted and again at its end" if record.measured_before else "once"


def _near_copies(record: RunRecord) -> list[str]:
    """Where images show the same picture as others, or why that is not known."""
    near = record.checks.near
    if near is None:
        return []
    texts = []
    for (first, second), n in near.across.items():
        if n:
            verb = "is a near copy" if n == 1 else "are near copies"
            harm = "The test accuracy may be too high." if "test" in (first, second) else "The selection may be biased."
            texts.append(
                Caution.NEAR_COPIES_ACROSS_SPLITS.text(
                    f"{counted(n, 'image')} of the {second} split {verb} of images of the {first} split, turned, "
                    f"mirrored, resized, compressed, brighter or shifted. {harm}"
                )
            )
    within = listed([f"{count(n)} in {split}" for split, n in near.within.items() if n])
    if within:
        texts.append(
            Caution.NEAR_COPIES_WITHIN_SPLIT.text(
                f"Some images are near copies of others in their own split: {within}."
            )
        )
    if near.conflicting:
        verb = "has" if near.conflicting == 1 else "have"
        texts.append(
            Caution.NEAR_COPIES_WITH_OTHER_LABELS.text(
                f"{counted(near.conflicting, 'image')} {verb} a near copy with another label."
            )
        )
    return texts


def _method(record: RunRecord) -> list[str]:
    texts = []
    if record.how_split:
        texts.append(f"The split: {record.how_split.rstrip('.')}.")
    texts += _groups(record)
    texts += _classes(record)
    if record.restore_best and record.kept_best:
        texts.append(
            f"Selection was by validation: the weights are those of epoch {record.best_epoch}, the best by "
            f"{record.monitor}. The test images were evaluated {_times(record)}, after that choice."
        )
    else:
        texts.append(
            f"Evaluated were {selection.weights(record)}. The test images were evaluated {_times(record)}, after "
            "training."
        )
    if record.status == "stopped early":
        texts.append(
            f"Training stopped early, after {counted(record.epochs_run, 'epoch')} of {record.epochs_asked}: "
            "validation no longer improved."
        )
    if record.status in ("stopped by on_epoch", "stopped by on_step"):
        function = record.status.removeprefix("stopped by ")
        texts.append(
            f"Training was stopped by a user's callback, {function}, after "
            f"{counted(record.epochs_run, 'epoch')} of {record.epochs_asked}."
        )
    return texts


def _groups(record: RunRecord) -> list[str]:
    """How many groups each split has, and that none is in two, as it was counted."""
    groups = record.groups
    if groups is None or any(groups.divided.values()):
        return []
    held = listed([f"{count(n)} in {split}" for split, n in groups.splits.items()])
    return [
        f"No group is divided: of {counted(groups.groups, 'group')}, {held}, none is in two splits; this was counted "
        f"after the split. They have {count(groups.smallest)} to {count(groups.largest)} images each. The intervals "
        "assume independent test images; images of one group are not, so the true intervals are wider."
    ]


def _executor(record: RunRecord) -> list[str]:
    """Whether the net was computed layer by layer although compiled kernels were asked for."""
    layer = record.environment.not_compiled
    if not layer:
        return []
    return [
        f"The net was computed layer by layer: there is no compiled operation for the layer {layer}. The numbers are "
        "the same as with compiled operations; an epoch takes longer."
    ]


def _classes(record: RunRecord) -> list[str]:
    """What class weights and balanced sampling did to training, and what they did not touch."""
    texts = []
    if record.class_weights:
        weights = dict(zip(record.class_names, record.class_weights, strict=True))
        texts.append(
            f"In training, the loss of an image was multiplied by the weight of its class: {_weights(weights)}. "
            "Validation and test loss are not weighted, so they are comparable between runs."
        )
    if record.drawn:
        texts.append(
            "Sampling was balanced: each epoch draws all classes equally often. Validation and test images are not "
            "resampled."
        )
    return texts


def _weights(weights: Mapping[str, float]) -> str:
    if len(weights) <= WEIGHTS:
        return listed([f"{name} {weight:.3g}" for name, weight in weights.items()])
    least, most = min(weights, key=lambda name: weights[name]), max(weights, key=lambda name: weights[name])
    return f"from {weights[least]:.3g} ({least}) to {weights[most]:.3g} ({most})"


def _interval_of_run(record: RunRecord) -> list[str]:
    low, high = record.test.accuracy_interval
    texts = [
        f"The 95{THIN}% interval reflects that there are {counted(record.test.images, 'test image')}: a difference to "
        f"another model below about {points((high - low) / 2)} may be due to chance. It does not cover the variation "
        "between seeds; that takes several runs."
    ]
    support = [s.support for s in record.test.classes if s.support]
    if max(support) > 3 * min(support):
        texts.append(
            f"The classes are unequal: from {count(min(support))} to {count(max(support))} test images each: always "
            f"predicting the most frequent one would be right on {percent(max(support) / sum(support))}. Look at the "
            "per-class accuracies as well as the overall one."
        )
    return texts


def examples() -> dict[str, tuple[Text, ...]]:
    """Odd cautions."""
    return {"a long one": (Text("<b>" * 99, tone="warning"), Text("A note.", tone="note"))}
