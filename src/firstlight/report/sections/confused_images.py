"""Confused images: the test images of the pairs of classes that are confused most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from firstlight.evaluation import confused_pairs
from firstlight.records.group import Group
from firstlight.report.document import Block, ImageGrid, Picture, Section, Text
from firstlight.report.explanation import explained, pixels_of_test_images
from firstlight.report.format import count, counted, percent
from firstlight.types import Array

PAIRS = 4
IMAGES = 10  # of a pair


@dataclass(frozen=True, eq=False)
class Pair:
    """Two classes of which the first was taken for the second.

    mistakes, support  so many times, of so many test images of the first
    ids, confidences   of the mistakes whose pixels are at hand, the most confident first
    pixels             by id, at least of these
    """

    true: str
    predicted: str
    mistakes: int
    support: int
    ids: Sequence[str]
    confidences: Sequence[float]
    pixels: Mapping[str, Array]


def numbers(group: Group) -> tuple[Pair, ...]:
    """The pairs of an explained run that are confused most, as far as the pixels of their images are at hand."""
    if (found := explained([group])) is None:
        return ()
    record = found[0]
    predictions, names, pixels = record.predictions, record.class_names, pixels_of_test_images(*found)
    pairs = []
    for true, predicted, n, support in confused_pairs(record.test.confusion)[:PAIRS]:
        of_pair = (predictions.labels == true) & (predictions.predicted == predicted)
        rows = [int(row) for row in np.flatnonzero(of_pair) if str(predictions.ids[row]) in pixels]
        rows.sort(key=lambda row: -float(predictions.confidence[row]))
        ids, sure = [str(predictions.ids[row]) for row in rows], [float(predictions.confidence[row]) for row in rows]
        pairs.append(Pair(names[true], names[predicted], n, support, ids, sure, pixels))
    return tuple(pair for pair in pairs if pair.ids)


def section(groups: Sequence[Group]) -> Section | None:
    found = numbers(groups[0]) if len(groups) == 1 else ()
    return Section("Images of the pairs that are confused most", "pairs", blocks(found)) if found else None


def blocks(pairs: Sequence[Pair]) -> tuple[Block, ...]:
    """A row of images for each pair."""
    return (Text(_HOW), *(_row(pair) for pair in pairs))


_HOW = (
    "The most confident predictions of each pair first, each with the image’s id and the confidence of the wrong "
    "prediction. What do the images of a pair have in common, and could you distinguish them?"
)


def _row(pair: Pair) -> ImageGrid:
    known = len(pair.ids)
    pictures = tuple(
        Picture(pair.pixels[name], pair.predicted, f"{percent(sure, 0)}, image {name}", image=("test", name))
        for name, sure in list(zip(pair.ids, pair.confidences, strict=True))[:IMAGES]
    )
    kept = "" if known == pair.mistakes else f" Of these, {count(known)} were kept with their pixels."
    which = "" if len(pictures) == known else f" The {len(pictures)} most confident of them are shown."
    caption = (
        f"{pair.true} taken for {pair.predicted}: {count(pair.mistakes)} of {counted(pair.support, 'test image')}. "
        f"{kept}{which}"
    ).strip()
    return ImageGrid(pictures, columns=IMAGES, caption=caption)


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd pairs, by what is odd."""
    pixels = {f"test/{k}": np.zeros((6, 5, 1), np.uint8) for k in range(20)}
    ids, sure = [*pixels], np.linspace(1, 0.4, 20).tolist()
    return {
        "few": blocks([Pair("<b>cat", "dog", 2, 60, ids[:2], sure[:2], pixels)]),
        "more than are kept": blocks([Pair("cat", "dog", 30, 60, ids, sure, pixels)]),
    }
