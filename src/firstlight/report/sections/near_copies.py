"""Near copies: images that show the same picture, in pairs, those with different labels first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from firstlight.records.group import Group, leader, present
from firstlight.records.images import Copy, NearCopies, NearPair
from firstlight.records.run import RunRecord
from firstlight.report.document import Block, ImageGrid, Picture, Section, Table, Text
from firstlight.report.format import count, counted
from firstlight.report.tasks import by_task
from firstlight.text import display_names, listed, printable
from firstlight.types import Array

GAP, GREY = 2, 128  # between the pictures of a pair: pixels, and their value
WIDE = 140  # the width of small pictures of a pair, about, in pixels
SIMILARITY = (
    "The similarity is the correlation of the details of both images, the second one aligned with the first by "
    "rotation and shift: at most 1. The alteration is that of the second image."
)


@dataclass(frozen=True, eq=False)
class Pairs:
    """The near copies of a run.

    found    what the search found
    shown    those whose pictures were kept, in the order in which they are listed
    pixels   of the images of each of them, uint8 (H, W, C)
    dropped  images that were left out for them, by split
    """

    found: NearCopies
    shown: Sequence[NearPair]
    pixels: Sequence[tuple[Array, Array]]
    dropped: Mapping[str, int]


def numbers(group: Group) -> Pairs | None:
    """Those of the first run; None where none were found, or where they were not looked for."""
    run = group.first
    near = run.checks.near
    if near is None or not near.pairs:
        return None
    kept = run.samples.get("near_copies")
    ids = [] if kept is None else kept.ids.tolist()
    shown, pixels = [], []
    for k, pair in enumerate(near.listed):
        if ids[2 * k : 2 * k + 2] != [image.id for image in pair.images]:
            break  # pictures were kept of the first ones alone
        if kept is not None:
            shown.append(pair)
            pixels.append((kept.pixels[2 * k], kept.pixels[2 * k + 1]))
    return Pairs(near, shown, pixels, _dropped(run))


def _dropped(run: RunRecord) -> dict[str, int]:
    return {split: len(ids) for split, ids in run.run.data.copies_dropped.items()}


def section(groups: Sequence[Group]) -> Section | None:
    """The pairs of the run that stands for the best, for each task."""
    if not any(numbers(group) for group in present(groups)):
        return None

    def of_task(task: Sequence[Group]) -> tuple[Block, ...]:
        found = numbers(leader(task))
        return () if found is None else blocks(found)

    return by_task("Near copies", "near_copies", groups, of_task)


def blocks(pairs: Pairs) -> tuple[Block, ...]:
    """What was found, the pictures in pairs, and what they are."""
    text = Text(caption(pairs))
    if not pairs.shown:
        return (text,)
    every = len(pairs.shown) == pairs.found.pairs
    few = "" if every else f"{count(len(pairs.shown))} of {counted(pairs.found.pairs, 'pair')}. "
    order = f"{few}Pairs with different labels come first, then those in different splits, then the most alike."
    pictures = [
        _picture(k, pair, *both) for k, (pair, both) in enumerate(zip(pairs.shown, pairs.pixels, strict=True), start=1)
    ]
    rows = [_row(k, pair) for k, pair in enumerate(pairs.shown, start=1)]
    titles = ("", "image", "its near copy", "similarity")
    return (
        text,
        ImageGrid(tuple(pictures), columns=5, caption=order, kind="near_copies"),
        Table(tuple(rows), titles, right=frozenset((0, 3)), caption=SIMILARITY),
    )


def caption(pairs: Pairs) -> str:
    """How many there are, where, and what that does to the numbers."""
    found = pairs.found
    said = [
        f"{counted(found.pairs, 'pair')} of images are near copies (near-duplicates) of each other: turned, mirrored, "
        "resized, compressed, brighter or shifted by a few pixels."
    ]
    across = [f"{count(n)} in {second} of images in {first}" for (first, second), n in found.across.items() if n]
    within = [f"{count(n)} within {split}" for split, n in found.within.items() if n]
    if across:
        said.append(
            f"Copies of images in an earlier split: {listed(across)}. What the net has memorized counts as correct "
            'there. data.near_copies = "group" keeps copies on one side of a split that is drawn, and "drop" leaves '
            "those out of training that the test has."
        )
    if within:
        said.append(f"In their own split: {listed(within)}; such images count more than once.")
    if found.conflicting:
        verb = "has" if found.conflicting == 1 else "have"
        said.append(
            f"{counted(found.conflicting, 'image')} {verb} a copy with another label: one of the two labels is wrong."
        )
    if pairs.dropped:
        said.append(
            f"Left out for a copy in a later split: {listed(f'{count(n)} of {s}' for s, n in pairs.dropped.items())}."
        )
    return " ".join(said)


def _picture(number: int, pair: NearPair, first: Array, second: Array) -> Picture:
    """Both images side by side, enlarged by a whole factor where they are small."""
    gap = np.full((first.shape[0], GAP, first.shape[2]), GREY, np.uint8)
    factor = max(1, WIDE // (2 * first.shape[1] + GAP))
    pixels = np.concatenate([first, gap, second], axis=1).repeat(factor, axis=0).repeat(factor, axis=1)
    return Picture(pixels, f"{number} {_labels(pair)}", pair.alteration)


def _row(number: int, pair: NearPair) -> tuple[str, ...]:
    one, other = (f"{printable(image.id)} ({image.split})" for image in pair.images)
    return (str(number), one, other, f"{pair.similarity:.3f}")


def _labels(pair: NearPair) -> str:
    """The class of both, or the two classes."""
    return " / ".join(display_names(dict.fromkeys(image.class_name for image in pair.images)))


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd pairs, by what is odd."""
    images = (
        Copy(split="train", id="train/1", class_name="<b>cat"),
        Copy(split="test", id="a/very/long/name/of/an/image/that/does/not/fit.png", class_name="dog"),
    )
    pair = NearPair(images=images, similarity=0.98, alteration="mirrored, darkened and resized or compressed")
    near = NearCopies(pairs=1, between={"train-test": 1}, conflicting=2, leaked=1, listed=(pair,))
    many = NearCopies(pairs=2_000, within={"train": 1_999}, between={"train-test": 1}, listed=(pair,) * 3)
    flat = np.full((6, 5, 1), 90, np.uint8)
    return {
        "one pair": blocks(Pairs(near, [pair], [(flat, flat)], {})),
        "without pictures": blocks(Pairs(near, [], [], {"train": 1})),
        "many": blocks(Pairs(many, [pair] * 3, [(flat, flat)] * 3, {})),
    }
