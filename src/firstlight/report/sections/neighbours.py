"""Neighbours: the most confident mistakes beside the training images that lie nearest to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from firstlight.records.explanation import Explanation, Mistake, Neighbours
from firstlight.records.group import Group
from firstlight.report.document import Block, ImageGrid, Picture, Section, Text
from firstlight.report.explanation import explained
from firstlight.report.format import count, percent

KIND = "neighbours"
MISTAKES = 8
NEIGHBOURS = 5


@dataclass(frozen=True, eq=False)
class NearestToMistakes:
    """Mistakes, the most confident first.

    layer     in whose values training images are near
    flawless  whether no test image was mistaken at all
    """

    mistakes: Sequence[Mistake]
    layer: str
    flawless: bool = False


def numbers(group: Group) -> NearestToMistakes | None:
    """The mistakes of an explained run."""
    if (found := explained([group])) is None:
        return None
    record, explanation = found
    flawless = record.test.correct == record.test.images
    return NearestToMistakes(explanation.mistakes, explanation.layer, flawless)


def section(groups: Sequence[Group]) -> Section | None:
    found = numbers(groups[0]) if len(groups) == 1 else None
    made = blocks(found, groups[0].first.class_names) if found else ()
    return Section("The most confident mistakes and their nearest training images", "nearest", made) if made else None


def card(explanation: Explanation, class_names: Sequence[str]) -> tuple[Block, ...]:
    """What a card shows of an explanation without its run."""
    return blocks(NearestToMistakes(explanation.mistakes, explanation.layer), class_names)


def blocks(found: NearestToMistakes, class_names: Sequence[str]) -> tuple[Block, ...]:
    """Rows of a mistake and the training images nearest to it."""
    if found.flawless:
        return (Text("No test image was misclassified.", tone="note"),)
    shown = found.mistakes[:MISTAKES]
    if not shown:
        return ()
    widest = max(min(NEIGHBOURS, len(mistake.nearest.labels)) for mistake in shown)
    pictures = tuple(picture for mistake in shown for picture in _row(mistake, class_names, widest))
    return (ImageGrid(pictures, columns=1 + widest, caption=caption(shown, found.layer), kind=KIND),)


def _row(mistake: Mistake, class_names: Sequence[str], width: int) -> list[Picture]:
    """The mistake, and its neighbours; a row with fewer of them than the others is filled up with empty pictures."""
    detail = f"{percent(mistake.confidence, 0)}, true: {class_names[mistake.label]}"
    image = ("test", mistake.id)
    row = [Picture(mistake.pixels, class_names[mistake.predicted], detail, right=False, image=image)]
    for label, pixels in list(zip(mistake.nearest.labels.tolist(), mistake.nearest.pixels, strict=True))[:width]:
        row.append(Picture(pixels, class_names[label], _side(label, mistake)))
    row += [Picture(np.zeros_like(mistake.pixels), "none")] * (1 + width - len(row))
    return row


def _side(label: int, mistake: Mistake) -> str:
    """Whom a neighbour agrees with."""
    if label == mistake.predicted:
        return "as answered"
    return "as labelled" if label == mistake.label else ""


def caption(shown: Sequence[Mistake], layer: str) -> str:
    labels = [mistake.nearest.labels[:NEIGHBOURS] for mistake in shown]
    total = sum(map(len, labels))
    answered = sum(int((found == mistake.predicted).sum()) for found, mistake in zip(labels, shown, strict=True))
    labelled = sum(int((found == mistake.label).sum()) for found, mistake in zip(labels, shown, strict=True))
    return (
        "First the mistake, in a dashed frame, with its prediction; beside it its nearest neighbours among the "
        f"training images, in the features of {layer}, the nearest first. Of {count(total)} neighbours, "
        f"{count(answered)} are of the predicted class and {count(labelled)} of the true one. Neighbours that look "
        "like the mistake and are of the wrong class: the features do not separate the classes, or labels are wrong. "
        "Neighbours that look like something else: the net has learnt something other than the shape."
    )


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd mistakes, by what is odd."""
    pixels = np.zeros((5, 6, 5, 3), np.uint8)
    near = Neighbours(np.arange(5).astype(str), np.arange(5) % 2, np.ones(5, np.float32), pixels)
    one = Mistake("test/1", 0, 1, 0.9, pixels[0], near)
    few = Neighbours(near.ids[:2], near.labels[:2], near.distances[:2], pixels[:2])
    names = ("<b>cat", "dog")
    return {
        "usual": blocks(NearestToMistakes([one] * 12, "dense1"), names),
        "few neighbours": blocks(NearestToMistakes([one, replace(one, nearest=few)], "dense1"), names),
        "no mistake": blocks(NearestToMistakes([], "dense1", flawless=True), names),
    }
