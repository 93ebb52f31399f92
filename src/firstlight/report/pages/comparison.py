"""The comparison of several runs: records in, a document out. The best is chosen by validation, never by test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from firstlight.errors import RunError
from firstlight.records.group import Group, leader, of_runs, present, ranked, selected, tasks
from firstlight.records.run import RunRecord
from firstlight.report import published
from firstlight.report.document import Document, Number, Numbers
from firstlight.report.format import THIN, count, counted, interval, percent, seconds, task_name
from firstlight.report.pages import contents
from firstlight.report.sections import corrections, every_run, significance


def document(records: Sequence[RunRecord], title: str, folder: Path) -> Document:
    """The comparison of runs, for a page that will lie in `folder`. Runs that differ only in the seed are one."""
    if not records:
        raise RunError("There is no run to compare.")
    groups = in_order(of_runs(records))
    return Document(
        kind_of=f"Comparison of {counted(len(records), 'run')}",
        title=title,
        subtitle=", ".join(dict.fromkeys(record.data for record in records)),
        verdict=verdict(groups),
        numbers=headline(groups),
        sections=contents.sections(contents.COMPARISON, groups, folder),
        source="the run folders",
    )


def in_order(groups: Sequence[Group]) -> list[Group]:
    """The groups of a comparison by their task, the best of each by validation first."""
    return [group for task in tasks(groups) for group in ranked(task)]


def verdict(groups: Sequence[Group]) -> str:
    """The best of each task, the published numbers, and what is missing."""
    return " ".join(filter(None, (part.verdict(groups) for part in (significance, corrections, published, every_run))))


def headline(groups: Sequence[Group]) -> Numbers:
    """What is to be seen from afar: the accuracy of the best, how many published numbers are reached, the cost."""
    found = present(groups)
    runs, asked = sum(len(group.runs) for group in groups), sum(len(group.asked) for group in groups)
    times = [record.seconds("train") or 0.0 for group in found for record in group.runs.values()]
    (first, *others) = tasks(groups)
    ahead = leader(first)
    best = selected(first) and len(groups) > 1
    label = "test accuracy of the best" if best else f"test accuracy, {ahead.name}"
    on = "" if not others else f" on {task_name(*first[0].task)}"
    test, accuracy = ahead.first.test, ahead.accuracy
    how = f"95{THIN}% interval {interval(test.accuracy_interval)}"
    if accuracy.sd is not None:
        how = f"± {100 * accuracy.sd:.2f}, {counted(accuracy.n, ahead.noun)}"
    images = sum(each.images for each in ahead.tests) if ahead.over_folds else test.images
    shown = [
        Number(f"{label}{on}", percent(accuracy.mean, 2), how),
        published.headline(groups),
        Number("runs", count(runs), "all that were asked for" if runs == asked else f"of {count(asked)} asked for"),
        Number("test images", count(images), counted(len(ahead.first.class_names), "class")),
        Number("parameters", count(ahead.first.parameters()), ahead.name),
        Number("training time", seconds(sum(times)), "all runs together"),
    ]
    return Numbers(tuple(number for number in shown if number is not None))
