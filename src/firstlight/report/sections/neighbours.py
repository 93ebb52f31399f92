"""Mistakes beside the training images that lie nearest to them, labels to doubt, and the images of confused pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from firstlight.evaluation import confused_pairs
from firstlight.records.explanation import Explanation, LabelIssue, Mistake
from firstlight.records.run import RunRecord
from firstlight.report.document import Block, Heading, ImageGrid, Picture, Text
from firstlight.report.format import count, counted, percent
from firstlight.types import Array

MISTAKES = 8
NEIGHBOURS = 5
LABEL_ISSUES = 20
PAIRS = 4
IMAGES = 10  # of a pair


def mistakes(explanation: Explanation, class_names: Sequence[str]) -> list[Block]:
    """Rows of a mistake and the training images nearest to it."""
    shown = explanation.mistakes[:MISTAKES]
    if not shown:
        return []
    widest = max(min(NEIGHBOURS, len(mistake.nearest.labels)) for mistake in shown)
    pictures = tuple(picture for mistake in shown for picture in _row(mistake, class_names, widest))
    return [
        Heading("The most confident mistakes and their nearest training images"),
        ImageGrid(pictures, columns=1 + widest, caption=_judged(shown, explanation.layer)),
    ]


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


def _judged(shown: Sequence[Mistake], layer: str) -> str:
    labels = [mistake.nearest.labels[:NEIGHBOURS] for mistake in shown]
    total = sum(map(len, labels))
    answered = sum(int((found == mistake.predicted).sum()) for found, mistake in zip(labels, shown, strict=True))
    labelled = sum(int((found == mistake.label).sum()) for found, mistake in zip(labels, shown, strict=True))
    return (
        f"First the mistake, in a dashed frame, with its answer; beside it the training images that lie nearest in "
        f"what {layer} gives, the nearest first. Of {count(total)} neighbours, {count(answered)} are of the class that "
        f"was answered and {count(labelled)} of the true one. Neighbours that look like the mistake and are of the "
        "wrong class: the classes are not told apart, or labels are wrong. Neighbours that look like something else: "
        "the net has learnt something other than the shape."
    )


def label_issues(found: Sequence[LabelIssue], class_names: Sequence[str]) -> list[Block]:
    """Images whose label may be wrong."""
    if not found:
        return []
    shown = found[:LABEL_ISSUES]
    pictures = tuple(
        Picture(
            issue.pixels,
            f"{class_names[issue.given]} → {class_names[issue.suggested]}",
            f"lead {issue.margin:.2f}, neighbours {percent(issue.neighbours_agree, 0)}, image {issue.id}",
            image=(issue.split, issue.id),
        )
        for issue in shown
    )
    which = "All of them" if len(shown) == len(found) else f"The first {len(shown)} of {count(len(found))}"
    caption = (
        f"{which}: the label as it is → the class that it seems to be. Lead: by how much the net finds the second more "
        "probable than the first. Neighbours: the share of the nearest training images of that class. These are "
        "suspects, not errors: look at each before you change a label. A net that is wrong about a whole class accuses "
        "its right labels too."
    )
    return [Heading("Labels to look at again"), ImageGrid(pictures, columns=5, caption=caption)]


def pairs(record: RunRecord, explanation: Explanation) -> list[Block]:
    """The images of the pairs of classes that are confused most, as far as their pixels are at hand."""
    predictions, names = record.predictions, record.class_names
    pixels = test_pixels(record, explanation)
    blocks: list[Block] = []
    for true, predicted, n, support in confused_pairs(record.test.confusion)[:PAIRS]:
        of_pair = (predictions.labels == true) & (predictions.predicted == predicted)
        rows = [int(row) for row in np.flatnonzero(of_pair) if str(predictions.ids[row]) in pixels]
        rows.sort(key=lambda row: -float(predictions.confidence[row]))
        if not rows:
            continue
        shown = rows[:IMAGES]
        pictures = tuple(
            Picture(
                pixels[name],
                names[predicted],
                f"{percent(float(predictions.confidence[row]), 0)}, image {name}",
                image=("test", name),
            )
            for row in shown
            if (name := str(predictions.ids[row]))
        )
        kept = "" if len(rows) == n else f" Of these, {count(len(rows))} were kept with their pixels."
        which = "" if len(shown) == len(rows) else f" The {len(shown)} surest of them are shown."
        blocks.append(
            ImageGrid(
                pictures,
                columns=IMAGES,
                caption=f"{names[true]} taken for {names[predicted]}: {count(n)} of {counted(support, 'test image')}. "
                f"{kept}{which}".strip(),
            )
        )
    if not blocks:
        return []
    read = (
        "The pairs of classes that are confused most, the surest answers first, each with the image’s id and the "
        "confidence of the wrong answer. What do the images of a pair have in common, and could you tell them apart?"
    )
    return [Heading("Which images are confused"), Text(read), *blocks]


def test_pixels(record: RunRecord, explanation: Explanation) -> Mapping[str, Array]:
    """The pixels of test images by their ids, from wherever they were kept; the largest there are of each."""
    found: dict[str, Array] = {}
    for plane in explanation.embeddings:
        rows = np.flatnonzero(plane.splits == "test").tolist()
        found |= {str(plane.ids[i]): plane.thumbnails[i] for i in rows}
    found |= {one.id: one.pixels for one in explanation.attributions if one.split == "test"}
    found |= {issue.id: issue.pixels for issue in explanation.label_issues if issue.split == "test"}
    found |= {mistake.id: mistake.pixels for mistake in explanation.mistakes}
    images = record.samples.get("test")
    if images is not None:
        found |= {str(name): images.pixels[i] for i, name in enumerate(images.ids)}
    return found
