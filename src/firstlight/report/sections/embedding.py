"""Embedding: images as points on a plane, close together where the net finds them similar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import altair as alt
import numpy as np

from firstlight.records.explanation import Embedding, Separation
from firstlight.records.group import Group
from firstlight.report.document import Block, Chart, Heading, Section
from firstlight.report.explanation import by_layer, explained, method_name
from firstlight.report.format import count, counted, seconds
from firstlight.report.render.vega import SERIES, SHAPES, Values, data, finish
from firstlight.text import cut, listed
from firstlight.types import Array, Json

KIND = "embedding"
ANSWERS = ("right answer", "wrong answer")
Colour = Literal["class", "predicted", "answer"]
POINTS = 2000
SIDE = 1000  # of the plane, in whole steps: no screen shows finer ones
HEIGHT = 520
WIDTH = 760
NAMED = 20  # classes: of more, only those that are missed most have a colour
APART = 8  # classes with a colour then
OTHER = "another class"
NAME = 150  # CSS pixels of a class name, in the legend and on the plane; what is longer is shortened
LETTERS = 12  # CSS pixels, the size of a name on the plane


def chosen(embedding: Embedding) -> Array:
    """Indices of the points that are drawn: all, or so many that a page stays small, evenly taken."""
    rows = np.flatnonzero(np.isfinite(embedding.points).all(axis=1))
    return rows[np.linspace(0, len(rows) - 1, POINTS).round().astype(np.int64)] if len(rows) > POINTS else rows


def numbers(group: Group) -> list[Embedding]:
    """The embeddings of an explained run, those of a layer together."""
    found = explained([group])
    return [one for layer in by_layer(found[1]) for one in layer] if found else []


def section(groups: Sequence[Group]) -> Section | None:
    found = numbers(groups[0]) if len(groups) == 1 else []
    made = blocks(found, groups[0].first.class_names) if found else ()
    return Section("Embedding", "neighbourhoods", made) if made else None


def blocks(found: Sequence[Embedding], class_names: Sequence[str]) -> tuple[Block, ...]:
    """A chart for each, under its method; those of the same images share their pictures, which a page keeps once."""
    made: list[Block] = []
    kept: tuple[Array, Array] | None = None
    for one in found:
        rows = chosen(one)
        if not len(rows):
            continue
        ids = np.char.add(np.char.add(one.splits[rows].astype(str), "/"), one.ids[rows].astype(str))
        if kept is None or not np.array_equal(kept[0], ids):
            kept = ids, one.thumbnails[rows]
        drawn = Chart(
            spec=chart(one, class_names, rows),
            description=f"{method_name(one)} of {counted(len(rows), 'image')}, coloured by their true class.",
            caption=caption(one, class_names, rows),
            width=WIDTH,
            pictures=kept[1],
            hint="Point at an image to see it; click a class in the legend to see it alone, with shift several.",
            kind=KIND,
        )
        made += [Heading(method_name(one)), drawn]
    return tuple(made)


def chart(embedding: Embedding, class_names: Sequence[str], rows: Array, colour: Colour = "class") -> Json:
    """A class has its colour and its shape, test images are filled, and a ring is drawn around a wrong answer.

    colour  by which class of an image, the true one or the predicted one, or by whether its answer is right
    """
    groups = list(ANSWERS) if colour == "answer" else _groups(embedding, class_names, rows)
    values = _values(embedding, class_names, rows, groups, colour)
    field = "group" if OTHER in groups else colour
    steps = alt.Scale(domain=[-20, SIDE + 20], nice=False)
    x, y = alt.X("x:Q", axis=None, scale=steps), alt.Y("y:Q", axis=None, scale=steps)
    picked = alt.selection_point(name="picked", fields=[field], bind="legend")
    base = alt.Chart(alt.NamedData("points")).encode(x=x, y=y)
    rings = (
        base.transform_filter("datum.class !== datum.predicted")
        .mark_point(shape="circle", size=105, strokeWidth=1.3, color="var(--ink)", tooltip=None)
        .encode(opacity=alt.condition(picked, alt.value(0.8), alt.value(0.04)))
    )
    points = base.encode(
        color=alt.Color(f"{field}:N", scale=_colours(groups), legend=_legend(groups)),
        shape=alt.Shape(f"{field}:N", scale=_shapes(groups), legend=_legend(groups)),
        opacity=alt.condition(picked, alt.value(0.9), alt.value(0.06)),
        tooltip=[
            alt.Tooltip("picture:Q", format="d"),
            alt.Tooltip("class:N", title="true class"),
            alt.Tooltip("predicted:N"),
            alt.Tooltip("confidence:Q", format=".0%"),
            alt.Tooltip("split:N"),
            alt.Tooltip("id:N", title="image"),
        ],
    )
    train = points.transform_filter("datum.split === 'train'").mark_point(size=16, strokeWidth=1.2)
    test = points.transform_filter("datum.split !== 'train'").mark_point(size=34, filled=True)
    names = alt.Chart(data(_medians(values, field))).encode(
        x=x, y=y, text="name:N", opacity=alt.condition(picked, alt.value(1), alt.value(0.1))
    )
    bold: Json = {"fontSize": LETTERS, "fontWeight": "bold"}
    halo = names.mark_text(**bold, stroke="var(--paper)", strokeWidth=4, strokeJoin="round")
    # the legend that several layers share takes clicks for a selection of the first of them alone
    layers = [rings, train.add_params(picked), test]
    if colour != "answer":  # which lie anywhere
        layers += [halo, names.mark_text(**bold)]
    # as a dataset of that name: Altair would copy and check each of them several times
    return {**finish(alt.layer(*layers), HEIGHT, {"points": values}), "view": {"stroke": "var(--rule)"}}


def _groups(embedding: Embedding, class_names: Sequence[str], rows: Array) -> list[str]:
    """The classes with a colour of their own: all, or of many those that are missed most here, and the others."""
    if len(class_names) <= NAMED:
        return list(class_names)
    labels, predicted = embedding.labels[rows], embedding.predicted[rows]
    missed = np.bincount(labels[labels != predicted], minlength=len(class_names))
    return [*(class_names[k] for k in sorted(np.argsort(-missed, kind="stable")[:APART].tolist())), OTHER]


def _values(
    embedding: Embedding, class_names: Sequence[str], rows: Array, groups: Sequence[str], colour: str
) -> Values:
    """A row a point; both directions have one scale, so that distances are as they are."""
    points = embedding.points[rows]
    low, high = points.min(axis=0), points.max(axis=0)
    extent = float((high - low).max()) or 1.0
    steps = np.rint((points - (low + high) / 2) / extent * SIDE + SIDE / 2).astype(np.int64).tolist()
    values: Values = [
        {
            "x": steps[n][0],
            "y": steps[n][1],
            "picture": n,
            "class": class_names[embedding.labels[i]],
            "predicted": class_names[embedding.predicted[i]],
            "confidence": round(float(embedding.confidence[i]), 3),
            "split": str(embedding.splits[i]),
            "id": str(embedding.ids[i]),
        }
        for n, i in enumerate(rows.tolist())
    ]
    if colour == "answer":
        for value in values:
            value["answer"] = ANSWERS[value["class"] != value["predicted"]]
        values.sort(key=lambda value: value["answer"] == ANSWERS[1])  # the wrong ones lie above
    if OTHER in groups:
        for value in values:
            value["group"] = value[colour] if value[colour] in groups else OTHER
        values.sort(key=lambda value: value["group"] != OTHER)  # what has a colour lies above what has none
    return values


def _medians(values: Values, field: str) -> Values:
    """Where the name of each class stands: at the median of its points."""
    places: dict[str, list[tuple[int, int]]] = {}
    for value in values:
        places.setdefault(value[field], []).append((value["x"], value["y"]))
    places.pop(OTHER, None)
    medians = {group: np.median(np.array(points), axis=0) for group, points in places.items()}
    return [
        {field: group, "name": cut(group, NAME, LETTERS), "x": float(x), "y": float(y)}
        for group, (x, y) in medians.items()
    ]


def _colours(groups: list[str]) -> alt.Scale:
    if groups == [*ANSWERS]:
        return alt.Scale(domain=groups, range=["var(--hit)", "var(--warn)"])
    colours = [SERIES[k % len(SERIES)] if group != OTHER else "var(--muted)" for k, group in enumerate(groups)]
    return alt.Scale(domain=groups, range=colours)


def _shapes(groups: list[str]) -> alt.Scale:
    """A shape for each class; of sixty-four, no two share both their colour and their shape."""
    shapes = [
        SHAPES[(k + k // len(SHAPES)) % len(SHAPES)] if group != OTHER else "circle" for k, group in enumerate(groups)
    ]
    return alt.Scale(domain=groups, range=shapes)


def _legend(groups: list[str]) -> alt.Legend:
    """A legend with as many columns as fit on a phone."""
    columns = max(1, min(5, 300 // (7 * min(22, max(map(len, groups))) + 30)))
    return alt.Legend(title=None, columns=columns, symbolOpacity=1, symbolSize=50, labelLimit=NAME)


def caption(embedding: Embedding, class_names: Sequence[str], rows: Array) -> str:
    """How to read this map, and how far."""
    splits, numbers = np.unique(embedding.splits[rows], return_counts=True)
    said = listed([f"{count(int(n))} {split}" for split, n in zip(splits.tolist(), numbers.tolist(), strict=True)])
    total = len(embedding.points)
    cut = f", evenly taken from {count(total)}" if len(rows) < total else ""
    wrong = int((embedding.labels[rows] != embedding.predicted[rows]).sum())
    coloured = (
        f" Only the {APART} of {len(class_names)} classes that are misclassified most here have a colour."
        if len(class_names) > NAMED
        else ""
    )
    return (
        f"{method_name(embedding)} of the output of {embedding.layer}, {counted(embedding.features, 'feature')} for "
        f"each image: {said} images{cut}, computed by {embedding.made_by} in {seconds(embedding.seconds)}. Filled are "
        "test images, hollow and smaller the training images; a ring marks "
        f"{counted(wrong, 'wrong prediction')}.{coloured} {_limits(embedding)}"
    )


def _limits(embedding: Embedding) -> str:
    if embedding.method == "pca":
        return (
            "This is a linear projection of the features onto the two directions of largest variance: classes that "
            "overlap here may well be separated in the others."
        )
    return (
        "Look for images among those of another class, and for classes that run into each other. Neighbourhoods can "
        f"be trusted; the distances between clusters, their sizes and their positions in {method_name(embedding)} mean "
        "little."
    )


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd embeddings, by what is odd."""

    def odd(n: int = 12, classes: int = 3, **changes: object) -> tuple[Block, ...]:
        draw = np.random.default_rng(0)
        apart = Separation(0.2, (0.2,) * classes, n, 0.8, 0.9, 3)
        labels = np.arange(n) % classes
        made = Embedding(
            method="t-sne",
            made_by="scikit-learn 1.7",
            layer="dense1",
            features=128,
            seconds=1.5,
            points=draw.normal(size=(n, 2)).astype(np.float32),
            splits=np.array(["train", "test"])[np.arange(n) % 2],
            ids=np.arange(n).astype(str),
            labels=labels,
            predicted=(labels + (np.arange(n) % 5 == 0)) % classes,
            confidence=np.linspace(0.4, 1, n, dtype=np.float32),
            thumbnails=draw.integers(0, 256, (n, 4, 5, 3), dtype=np.uint8),
            in_features=apart,
            in_map=apart,
        )
        names = ["<b>cat", "constructor", *(f"class {k}" for k in range(2, classes))]
        return blocks([replace(made, **changes)], names)  # type: ignore[arg-type]

    return {
        "usual": odd(),
        "many points": odd(POINTS + 500),
        "many classes": odd(120, 30),
        "one point": odd(1),
        "all on one point": odd(points=np.zeros((12, 2), np.float32)),
        "not finite": odd(points=np.where(np.eye(12, 2) > 0, np.inf, 1).astype(np.float32)),
    }
