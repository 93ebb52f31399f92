"""Confusion matrices: one with its counts, or several side by side, each added up over its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import altair as alt
import numpy as np

from firstlight.evaluation import confused_pairs
from firstlight.records.group import Group, present
from firstlight.report.document import Beside, Block, Chart, Section
from firstlight.report.format import count, counted
from firstlight.report.render.vega import data, finish
from firstlight.report.tasks import by_task
from firstlight.text import listed
from firstlight.types import Array, Json

KIND = "confusion"
COUNTS_UP_TO = 12  # classes: a larger matrix shows its counts on hover only
FEW = 5  # classes whose small matrix has room for counts
NAME = 10  # CSS pixels that the name of a class needs
DARK_FROM = 0.75  # the share of a cell on the diagonal whose colour is dark
MATRICES = 12  # at most so many stand side by side
HOW = (
    "Rows are the true classes, columns the predicted ones; the colour is the share of the row, with mistakes in their "
    "own hue."
)


@dataclass(frozen=True, eq=False)
class Confusion:
    """How often images of each class were taken for each, int64 (K, K), true by predicted, added up over the seeds."""

    name: str
    class_names: Sequence[str]
    matrix: Array
    seeds: int = 1
    noun: str = "seed"


def numbers(group: Group) -> Confusion:
    return Confusion(group.name, group.first.class_names, group.confusion, len(group.averaged), group.noun)


def chart(found: Confusion, small: bool = False) -> Json:
    """The matrix: rows true, columns predicted; the colour is the share of the row, blue where right.

    A small one leaves out the counts, unless its classes are few.
    """
    names, matrix = found.class_names, found.matrix
    support = matrix.sum(axis=1)
    rows = [
        {
            "true": names[t],
            "predicted": names[p],
            "images": int(matrix[t, p]),
            "share": float(matrix[t, p] / support[t]),
            "right": bool(t == p),
        }
        for t, p in np.argwhere(matrix)
    ]
    scale = alt.Scale(domain=list(names), paddingInner=0.03, paddingOuter=0)
    slanted = len(names) > COUNTS_UP_TO or max(map(len, names)) > 3
    style: Json = {"labels": _side(len(names), small) >= NAME, "domain": False, "ticks": False}
    across = alt.Axis(orient="top", labelAngle=-45 if slanted else 0, labelLimit=90, **style)
    base = alt.Chart(data(rows)).encode(
        x=alt.X("predicted:N", title="predicted class", scale=scale, axis=across),
        y=alt.Y("true:N", title="true class", scale=scale, axis=alt.Axis(labelLimit=110, **style)),
        tooltip=[
            alt.Tooltip("true:N", title="true class"),
            alt.Tooltip("predicted:N", title="predicted class"),
            alt.Tooltip("images:Q", format=",d"),
            alt.Tooltip("share:Q", title="share of the true class", format=".1%"),
        ],
    )
    cells = base.mark_rect().encode(
        fill=alt.Fill(
            "right:N", legend=None, scale=alt.Scale(domain=[True, False], range=["var(--hit)", "var(--miss)"])
        ),
        fillOpacity=alt.FillOpacity(
            "share:Q", legend=None, scale=alt.Scale(type="sqrt", domain=[0, 1], range=[0.04, 1])
        ),
    )
    layers = [cells]
    if len(names) <= (FEW if small else COUNTS_UP_TO):
        numbers = base.encode(text=alt.Text("images:Q", format=",d"))
        dark = f"datum.right && datum.share > {DARK_FROM}"  # where white is read better, in light and in dark
        layers.append(numbers.transform_filter(f"!({dark})").mark_text())
        layers.append(numbers.transform_filter(dark).mark_text(color="var(--on-hit)"))
    spec = finish(alt.layer(*layers), height=len(names) * _side(len(names), small))
    spec["view"] = {"fill": "var(--wash)", "stroke": None}
    return spec


def _width(found: Confusion) -> int:
    """The width at which the cells are about square."""
    cell = _side(len(found.class_names))
    labels = min(110, 7 * max(map(len, found.class_names))) if cell >= NAME else 0
    return max(300, len(found.class_names) * cell + labels + 30)


def _side(classes: int, small: bool = False) -> int:
    """The side of a cell, in CSS pixels."""
    if small:
        return 42 if classes <= FEW else max(3, min(22, 230 // classes))
    return 42 if classes <= COUNTS_UP_TO else max(4, min(24, 600 // classes))


def caption(found: Confusion) -> str:
    """The pairs of classes that are confused most, and how to read the matrix."""
    names = found.class_names
    pairs = confused_pairs(found.matrix)[1:3]
    others = [f"{names[t]} for {names[p]} ({count(n)} of {count(support)})" for t, p, n, support in pairs]
    rest = f" Next: {listed(others)}." if others else ""
    return f"{most_confused(found)}{rest} {HOW}"


def most_confused(found: Confusion) -> str:
    """The pair of classes that is confused most."""
    pairs = confused_pairs(found.matrix)
    if not pairs:
        return "No test image was misclassified."
    true, predicted, n, support = pairs[0]
    names = found.class_names
    return f"{names[true]} is most often misclassified as {names[predicted]}: {count(n)} of {count(support)}."


def section(groups: Sequence[Group]) -> Section | None:
    """The matrices, for each task."""
    if not present(groups):
        return None
    return by_task("Confusion matrix", "confusion", groups, lambda task: blocks([numbers(group) for group in task]))


def blocks(found: Sequence[Confusion]) -> tuple[Block, ...]:
    """The matrix of a single group, or those of the first groups side by side."""
    described = "rows are the true classes, columns the predicted ones."
    if len(found) == 1:
        (one,) = found
        over = f" Added up over {counted(one.seeds, one.noun)}." if one.seeds > 1 else ""
        said = f"{caption(one)}{over}"
        return (Chart(chart(one), f"Confusion matrix: {described}", said, width=_width(one), kind=KIND),)
    matrices = tuple(
        Chart(
            spec=chart(one, small=True),
            description=f"Confusion matrix of {one.name}: {described}",
            caption=f"{one.name}{_seeds(one)}. {most_confused(one)}",
            width=380,
            kind=KIND,
        )
        for one in found[:MATRICES]
    )
    over = f", added up over the {found[0].noun}s" if any(one.seeds > 1 for one in found) else ""
    rest = f" {counted(len(found) - MATRICES, 'other')} are left out." if len(found) > MATRICES else ""
    return (Beside(matrices, caption=f"Confusion matrices{over}. {HOW}{rest}"),)


def _seeds(one: Confusion) -> str:
    return f", {counted(one.seeds, one.noun)}" if one.seeds > 1 else ""


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd matrices, by what is odd."""

    def odd(name: str, classes: int, right: int = 9, seeds: int = 1) -> Confusion:
        matrix = np.roll(np.eye(classes, dtype=np.int64), 1, axis=1) + right * np.eye(classes, dtype=np.int64)
        return Confusion(name, tuple(f"class <{k}>" for k in range(classes)), matrix, seeds)

    sure = Confusion("a", ("no", "yes"), np.array([[3, 0], [0, 0]]))
    return {
        "two classes": blocks([odd("a", 2)]),
        "a class without images, and no mistake": blocks([sure]),
        "more classes than have room for counts": blocks([odd("a", 30, seeds=3)]),
        "more classes than have room for names": blocks([odd("a", 70)]),
        "several": blocks([odd("a", 5), odd("constructor", 5, seeds=2), replace(sure, name="c")]),
        "more than stand side by side": blocks([odd(f"{n}", 12) for n in range(MATRICES + 2)]),
    }
