"""Doubted labels: what `firstlight labels` found among all images of folds, each with its reason and nearest images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from firstlight.errors import RunError
from firstlight.records import label_issues
from firstlight.records.group import Group, present
from firstlight.records.label_issues import LabelIssues
from firstlight.records.out_of_fold import FoldRun
from firstlight.report.document import Block, ImageGrid, Picture, Section, Text
from firstlight.report.format import count, counted
from firstlight.text import display_names

KIND = "doubted-labels"
SHOWN = 12


def numbers(group: Group) -> LabelIssues | None:
    """The record beside the runs of the folds; None where it was not made, or cannot be read."""
    places = {record.run.path.parent for record in group.runs.values()}
    if not group.over_folds or len(places) != 1:
        return None
    try:
        return label_issues.read(places.pop())
    except RunError:  # the command says what is wrong, and makes it again
        return None


def section(groups: Sequence[Group]) -> Section | None:
    found = [record for group in present(groups) if (record := numbers(group)) is not None]
    made = tuple(block for record in found for block in blocks(record))
    return Section("Suspected label errors", "doubted", made) if made else None


def blocks(found: LabelIssues) -> tuple[Block, ...]:
    """Rows of a doubted image and the images nearest to it."""
    if not len(found):
        return (Text(f"No label of {counted(found.images, 'image')} is suspected to be wrong.", tone="note"),)
    shown = min(SHOWN, len(found.pixels))
    pictures = tuple(picture for place in range(shown) for picture in _row(found, place))
    return (ImageGrid(pictures, columns=1 + found.nearest_pixels.shape[1], caption=caption(found, shown), kind=KIND),)


def _row(found: LabelIssues, place: int) -> list[Picture]:
    one, names = found[place], display_names(found.class_names)
    by_given, by_suggested = one.probabilities
    agree = one.labels.count(one.suggested)
    detail = f"{by_given:.2f} → {by_suggested:.2f}, {agree} of {len(one.labels)} near, {one.id}"
    row = [Picture(found.pixels[place], f"{names[one.given]} → {names[one.suggested]}", detail)]
    for pixels, label in zip(found.nearest_pixels[place], one.labels, strict=False):
        row.append(Picture(pixels, names[label], "as suggested" if label == one.suggested else ""))
    return row


def caption(found: LabelIssues, shown: int) -> str:
    return (
        f"{count(len(found))} of {counted(found.images, 'label')} are suspected to be wrong; the first {count(shown)}. "
        "First the image: its label → the suggested class, the probabilities of both by the net that was not trained "
        "on it, and how many of the nearest images have the second label. Beside it the nearest of these, by the "
        "features of the last hidden layer of that net. These are suspicions, not confirmed errors: look at each image "
        "before you change its label (firstlight view, Review)."
    )


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd doubts, by what is odd."""

    def of(n: int, k: int) -> LabelIssues:
        return LabelIssues(
            images=60,
            layer="dense1",
            ids=np.array([f"train/{i}" for i in range(n)], dtype=np.str_),
            folds=np.ones(n, np.int64),
            given=np.zeros(n, np.int64),
            suggested=np.ones(n, np.int64),
            probabilities=np.full((n, 2), 0.5, np.float32),
            scores=np.ones(n, np.float32),
            nearest_ids=np.full((n, k), "train/99"),
            nearest_labels=np.ones((n, k), np.int64),
            hashes=np.full(n, "0" * 64),
            pixels=np.zeros((n, 6, 5, 3), np.uint8),
            nearest_pixels=np.zeros((n, k, 6, 5, 3), np.uint8),
            class_names=("<b>cat", "dog"),
            runs=(FoldRun("fold-1"), FoldRun("fold-2")),
        )

    return {"many": blocks(of(30, 5)), "one with one neighbour": blocks(of(1, 1)), "none": blocks(of(0, 5))}
