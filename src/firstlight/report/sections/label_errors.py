"""Label errors: images whose label may be wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from firstlight.records.explanation import Explanation, LabelIssue
from firstlight.records.group import Group
from firstlight.report.document import Block, ImageGrid, Picture, Section
from firstlight.report.explanation import explained
from firstlight.report.format import count, percent

KIND = "label-errors"
SHOWN = 20


def numbers(group: Group) -> tuple[LabelIssue, ...]:
    """The labels in doubt of an explained run."""
    found = explained([group])
    return found[1].label_issues if found else ()


def section(groups: Sequence[Group]) -> Section | None:
    found = numbers(groups[0]) if len(groups) == 1 else ()
    return Section("Suspected label errors", "labels", blocks(found, groups[0].first.class_names)) if found else None


def card(explanation: Explanation, class_names: Sequence[str]) -> tuple[Block, ...]:
    """What a card shows of an explanation without its run."""
    return blocks(explanation.label_issues, class_names)


def blocks(found: Sequence[LabelIssue], class_names: Sequence[str]) -> tuple[Block, ...]:
    """A grid of the images with the label and the class that it seems to be."""
    if not found:
        return ()
    shown = found[:SHOWN]
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
        f"{which}: the given label → the suggested class. Lead: by how much the second is more probable than the "
        "first, by the net. Neighbours: the share of the nearest training images of the suggested class. These are "
        "suspicions, not confirmed errors: look at each image before you change a label. A net that is wrong about a "
        "whole class suspects its correct labels too."
    )
    return (ImageGrid(pictures, columns=5, caption=caption, kind=KIND),)


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd labels, by what is odd."""
    one = LabelIssue("test/1", "test", 0, 1, 0.75, 0.5, np.zeros((6, 5, 3), np.uint8))
    return {"one": blocks([one], ("<b>cat", "dog")), "many": blocks([one] * 30, ("<b>cat", "dog"))}
