"""Mistakes: the test images that a run, or the best of several, is most surely wrong about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from firstlight.evaluation import most_confident_mistakes, most_missed_class
from firstlight.records.group import Group, leader, present, selected, tasks
from firstlight.report.document import Block, Heading, ImageGrid, Picture, Section, Text
from firstlight.report.format import count, counted, percent
from firstlight.report.pictures import answered, kept
from firstlight.report.tasks import by_task

MISTAKES = 15


@dataclass(frozen=True, eq=False)
class Mistakes:
    """The mistakes of a run that were kept, the surest first.

    pictures     of them
    total        how many mistakes it made in all
    confidence   of the surest
    """

    pictures: Sequence[Picture]
    total: int
    confidence: float = 0.0


@dataclass(frozen=True, eq=False)
class Missed(Mistakes):
    """The same of the class that is missed most, which has so many test images."""

    class_name: str = ""
    images: int = 0


def numbers(group: Group, of_class: int | None = None) -> Mistakes:
    """Those of the first run, or of its test images of one class."""
    run = group.first
    predictions, found = run.predictions, kept(run)
    wrong = ~predictions.correct if of_class is None else ~predictions.correct & (predictions.labels == of_class)
    rows = [int(row) for row in most_confident_mistakes(predictions, MISTAKES, of_class) if int(row) in found]
    pictures = [answered(run, row, found[row]) for row in rows]
    return Mistakes(pictures, int(wrong.sum()), float(predictions.confidence[rows[0]]) if rows else 0.0)


def missed(group: Group) -> Missed | None:
    """Those of the class that is recognized least; None of two classes, where the confusion matrix has said it all."""
    run = group.first
    k = most_missed_class(run.predictions)
    if k is None or len(run.class_names) < 3:
        return None
    found, images = numbers(group, k), int((run.predictions.labels == k).sum())
    return Missed(found.pictures, found.total, found.confidence, run.class_names[k], images)


def still_wrong(task: Sequence[Group]) -> Mistakes:
    """Those of the best of a task, with how many of the others are right."""
    best, *others = [leader(task), *(group for group in task if group is not leader(task))]
    run = best.first
    predictions, found = run.predictions, kept(run)
    total = int((~predictions.correct).sum())
    rows = [int(row) for row in most_confident_mistakes(predictions, total) if int(row) in found][:MISTAKES]
    right = [set(p.ids[p.correct].tolist()) for p in (other.first.predictions for other in others)]
    pictures = []
    for row in rows:
        picture = answered(run, row, found[row])
        agree = sum(predictions.ids[row].item() in ids for ids in right)
        beside = f"; {agree} of {counted(len(right), 'other')} right" if right else ""
        pictures.append(replace(picture, detail=f"{picture.detail}{beside}"))
    return Mistakes(pictures, total)


def caption(found: Mistakes) -> str:
    """What the most confident mistakes are good for."""
    return (
        f"The {count(len(found.pictures))} most confident of {counted(found.total, 'mistake')}, from "
        f"{percent(found.confidence, 0)} confidence down. Look for wrong labels, for images that a person could not "
        "classify either, and for what they have in common."
    )


def missed_caption(found: Missed) -> str:
    """The class that is recognized least."""
    shown, wrong = len(found.pictures), found.total
    which = f"The most confident {shown} of them" if shown < wrong else "All of them" if wrong > 1 else "Here it is"
    return (
        f"{found.class_name} is the class with the most mistakes: {wrong:,} of its "
        f"{counted(found.images, 'test image')} were misclassified. {which}, the most confident first. Look for "
        "what they have in common."
    )


def still_wrong_caption(found: Mistakes, name: str, chosen: str) -> str:
    """What the mistakes are good for of a run that was `chosen` so: "the best by validation"."""
    shown = len(found.pictures)
    which = "The" if shown == found.total else f"{count(shown)} of the"
    return (
        f"{which} {counted(found.total, 'test image')} that {name}, {chosen}, still gets wrong, the most confident "
        "first. If every other run is right, the fault is the model’s; if all are wrong, the label may be wrong too."
    )


def section(groups: Sequence[Group]) -> Section | None:
    """The mistakes of a single run, or of the best for each task."""
    there = present(groups)
    if not there:
        return None
    if len(there) == 1 and len(there[0].runs) == 1:
        return Section("The most confident mistakes", "mistakes", blocks(numbers(there[0]), missed(there[0])))
    found = tasks(groups)
    title = f"What {_named(leader(found[0]))} gets wrong" if len(found) == 1 else "What the best of each get wrong"
    return by_task(title, "mistakes", groups, lambda task: (_of_several(task),))


def blocks(found: Mistakes, of_class: Missed | None = None) -> tuple[Block, ...]:
    """The most confident mistakes, and those of the class that is missed most."""
    if not found.total:
        return (Text("There are no mistakes to show: every test image was classified correctly.", tone="note"),)
    if not found.pictures:
        return (Text("No images of the mistakes were kept with this run.", tone="note"),)
    grid = ImageGrid(tuple(found.pictures), columns=5, caption=caption(found), kind="mistakes")
    if of_class is None or not of_class.pictures:
        return (grid,)
    missed = ImageGrid(tuple(of_class.pictures), columns=5, caption=missed_caption(of_class), kind="mistakes")
    return grid, Heading(f"What {of_class.class_name} is misclassified as"), missed


def _of_several(task: Sequence[Group]) -> Block:
    found, name = still_wrong(task), leader(task).name
    if not found.pictures:
        return Text(f"{name} makes no mistake on the test images that were kept.", tone="note")
    said = still_wrong_caption(found, name, "the best by validation" if selected(task) else "the first of them")
    return ImageGrid(tuple(found.pictures), columns=5, caption=said, kind="mistakes")


def _named(group: Group) -> str:
    return f"{group.name} ({group.title(next(iter(group.averaged)))})" if len(group.averaged) > 1 else group.name


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd mistakes, by what is odd."""
    pixels = np.full((9, 12, 3), 90, np.uint8)
    one = [Picture(pixels, "<b>", "99 %, true: b", right=False)]
    return {
        "none": blocks(Mistakes([], 0)),
        "none kept": blocks(Mistakes([], 3)),
        "one, the only one of its class": blocks(Mistakes(one, 1, 0.99), Missed(one, 1, 0.99, "<b>", 7)),
        "some of many": blocks(Mistakes(one * 15, 1234, 1.0), Missed(one * 15, 99, 1.0, "b", 2345)),
    }
