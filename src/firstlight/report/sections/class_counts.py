"""Images per class: before and after what the experiment makes of the classes, and what an epoch draws of them.

Where classes were left out or regrouped, "before" are those of the source. Where sampling is balanced, "after" is what
an epoch draws of the training images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import numpy as np

from firstlight.records.group import Group, leader, tasks
from firstlight.report.document import Beside, Block, Chart, Heading, Section
from firstlight.report.format import count, counted, decimal, percent
from firstlight.report.render.vega import class_axis, class_row, data, finish
from firstlight.types import Json

KIND = "class-counts"

Counts = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class ClassCounts:
    """The images of each class by split.

    before  the classes of the source and their images, where some were then left out or regrouped
    drawn   the training images of each class that an epoch draws, where sampling was balanced
    """

    class_names: Sequence[str]
    counts: Counts
    before: tuple[Sequence[str], Counts] | None = None
    drawn: Sequence[int] = field(default=())


def numbers(group: Group) -> ClassCounts:
    run = group.first
    return ClassCounts(run.class_names, run.counts, run.before, run.drawn)


def chart(class_names: Sequence[str], counts: Sequence[int], title: str, most: int | None = None) -> Json:
    """Images per class, a bar each; `most` is the end of the axis, for charts that are compared."""
    rows = [{"class": name, "images": int(n)} for name, n in zip(class_names, counts, strict=True)]
    drawn = (
        alt.Chart(data(rows))
        .mark_bar(opacity=0.75)
        .encode(
            x=alt.X(
                "images:Q",
                title=title,
                axis=alt.Axis(tickCount=3, format=",d", tickMinStep=1, values=_few(most or max(counts, default=0))),
                scale=alt.Undefined if most is None else alt.Scale(domain=[0, most]),
            ),
            y=class_axis(class_names),
            tooltip=["class:N", alt.Tooltip("images:Q", format=",d")],
        )
    )
    return finish(drawn, height=class_row(len(class_names), 18) * len(class_names))


def _few(most: int) -> Any:
    """Every number up to the greatest where they are few: the library would write a tick at a half as 1."""
    return list(range(most + 1)) if most <= 3 else alt.Undefined


def caption(class_names: Sequence[str], counts: Counts) -> str:
    """What the histograms of the splits show."""
    train = np.array(next(iter(counts.values())))
    smallest, largest = class_names[int(train.argmin())], class_names[int(train.argmax())]
    if train.max() <= 1.2 * max(1, train.min()):
        return "Images per class in each split. The classes are about equally frequent."
    return (
        f"Images per class in each split. The rarest class is {smallest} ({count(int(train.min()))} training "
        f"images), the most frequent {largest} ({count(int(train.max()))})."
    )


def section(groups: Sequence[Group]) -> Section | None:
    """Those of the run that stands for the best, of the first task."""
    found = [numbers(leader(task)) for task in tasks(groups)[:1]]
    made = blocks(found[0]) if found else ()
    return Section("Images per class", "counts", made) if made else None


def blocks(found: ClassCounts) -> tuple[Block, ...]:
    """The histograms, with headings where there is a before and an after."""
    rows: list[tuple[str, Beside]] = []
    if found.before:
        rows.append(("Before: the original classes", Beside(histograms(*found.before), _left_out(found))))
    if found.counts:
        title = f"{'After' if found.before else 'Before'}: the classes used"
        said = caption(found.class_names, found.counts)
        rows.append((title, Beside(histograms(found.class_names, found.counts), said)))
    if found.drawn:
        most = max(*found.drawn, *found.counts["train"])
        pair = {"train images": found.counts["train"], "drawn in an epoch": found.drawn}
        charts = tuple(
            Chart(chart(found.class_names, n, title, most), f"Images per class: {title}.", width=440, kind=KIND)
            for title, n in pair.items()
        )
        said = f"Left: the training images. {_drawn(found)}"
        rows.append(("After balanced sampling: what an epoch draws", Beside(charts, said)))
    if len(rows) < 2:
        return tuple(row for _, row in rows)
    return tuple(block for title, row in rows for block in (Heading(title), row))


def histograms(class_names: Sequence[str], counts: Counts) -> tuple[Chart, ...]:
    """A histogram a split."""
    return tuple(
        Chart(
            spec=chart(class_names, numbers, f"{split} images"),
            description=f"Images per class of the {split} split.",
            width=300,
            kind=KIND,
        )
        for split, numbers in counts.items()
    )


def _left_out(found: ClassCounts) -> str:
    """What the classes were, and how many of the images are no longer there."""
    assert found.before is not None, "asked where classes were left out or regrouped"
    names, counts = found.before
    total, now = (sum(map(sum, each.values())) for each in (counts, found.counts))
    became = f"{counted(len(names), 'class')} became {count(len(found.class_names))}"
    left = f"{count(total - now)} of {count(total)} images were" if now < total else "no image was"
    return f"{caption(names, counts)} {became}; {left} left out."


def _drawn(found: ClassCounts) -> str:
    """How often balanced sampling takes an image of the rarest class and of the most frequent one."""
    there = np.array(found.counts["train"])
    rarest, commonest = int(np.where(there, there, there.max()).argmin()), int(there.argmax())
    share = sum(found.drawn) / np.count_nonzero(there)
    return (
        f"Each epoch draws {count(sum(found.drawn))} images, all classes equally often: each image of "
        f"{found.class_names[rarest]}, the rarest class, {decimal(share / there[rarest], 1)} times, and "
        f"{percent(min(1.0, share / there[commonest]), 0)} of those of {found.class_names[commonest]}, the most "
        "frequent."
    )


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd counts, by what is odd."""
    counts = {"train": [90, 24, 0], "test": [2, 1, 0]}
    names = ("cat", "<b>", "constructor")
    many = tuple(f"class {k}" for k in range(70))
    return {
        "a class without images": blocks(ClassCounts(names, counts)),
        "regrouped and balanced": blocks(ClassCounts(names, counts, (many, {"train": [9] * 70}), [40, 40, 0])),
        "more classes than have room for names": blocks(ClassCounts(many, {"train": range(70)})),
    }
