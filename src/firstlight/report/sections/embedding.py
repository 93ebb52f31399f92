"""Images as points on a plane: the chart of a map, whose points show their image, and how far apart the classes lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np

from firstlight.records.explanation import NEIGHBOURS, Embedding, Separation
from firstlight.report.document import Chart, Table
from firstlight.report.format import UNDEFINED, count, counted, decimal, listed, percent, seconds
from firstlight.report.render.vega import SERIES, SHAPES, Values, data, finish
from firstlight.text import cut
from firstlight.types import Array, Json

NAMES = {"pca": "PCA", "t-sne": "t-SNE", "umap": "UMAP"}
POINTS = 2000
SIDE = 1000  # of the plane, in whole steps: no screen shows finer ones
HEIGHT = 520
WIDTH = 760
NAMED = 20  # classes: of more, only those that are missed most have a colour
APART = 8  # classes with a colour then
ROWS = 12  # classes in the table by class
OTHER = "another class"
NAME = 150  # CSS pixels of a class name, in the legend and on the plane; what is longer is shortened
LETTERS = 12  # CSS pixels, the size of a name on the plane


def chosen(embedding: Embedding) -> Array:
    """Indices of the points that are drawn: all, or so many that a page stays small, evenly taken."""
    rows = np.flatnonzero(np.isfinite(embedding.points).all(axis=1))
    return rows[np.linspace(0, len(rows) - 1, POINTS).round().astype(np.int64)] if len(rows) > POINTS else rows


def chart(embedding: Embedding, class_names: Sequence[str], rows: Array, pictures: Array) -> Chart:
    """The chosen points of a map; `pictures` uint8 (n, h, w, C) are their images, which a page shows under the pointer.

    Maps that are given the same array share it in the page.
    """
    return Chart(
        spec=spec(embedding, class_names, rows),
        description=f"{name(embedding)} of {counted(len(rows), 'image')}, coloured by their true class.",
        caption=_caption(embedding, class_names, rows),
        width=WIDTH,
        pictures=pictures,
        hint="Point at an image to see it; click a class in the legend to see it alone, with shift several.",
    )


def name(embedding: Embedding) -> str:
    """What the method is called."""
    return NAMES.get(embedding.method, embedding.method)


def spec(embedding: Embedding, class_names: Sequence[str], rows: Array) -> Json:
    """A class has its colour and its shape, test images are filled, and a ring is drawn around a wrong answer."""
    groups = _groups(embedding, class_names, rows)
    values = _values(embedding, class_names, rows, groups)
    field = "group" if OTHER in groups else "class"
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
    layers = (rings, train.add_params(picked), test, halo, names.mark_text(**bold))
    # as a dataset of that name: Altair would copy and check each of them several times
    return {**finish(alt.layer(*layers), HEIGHT, {"points": values}), "view": {"stroke": "var(--rule)"}}


def _groups(embedding: Embedding, class_names: Sequence[str], rows: Array) -> list[str]:
    """The classes with a colour of their own: all, or of many those that are missed most here, and the others."""
    if len(class_names) <= NAMED:
        return list(class_names)
    labels, predicted = embedding.labels[rows], embedding.predicted[rows]
    missed = np.bincount(labels[labels != predicted], minlength=len(class_names))
    return [*(class_names[k] for k in sorted(np.argsort(-missed, kind="stable")[:APART].tolist())), OTHER]


def _values(embedding: Embedding, class_names: Sequence[str], rows: Array, groups: Sequence[str]) -> Values:
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
    if OTHER in groups:
        for value in values:
            value["group"] = value["class"] if value["class"] in groups else OTHER
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
    return alt.Legend(columns=columns, symbolOpacity=1, symbolSize=50, labelLimit=NAME)


def _caption(embedding: Embedding, class_names: Sequence[str], rows: Array) -> str:
    """How to read this map, and how far."""
    splits, numbers = np.unique(embedding.splits[rows], return_counts=True)
    said = listed([f"{count(int(n))} {split}" for split, n in zip(splits.tolist(), numbers.tolist(), strict=True)])
    total = len(embedding.points)
    cut = f", evenly taken from {count(total)}" if len(rows) < total else ""
    wrong = int((embedding.labels[rows] != embedding.predicted[rows]).sum())
    coloured = (
        f" The {APART} of {len(class_names)} classes that are missed most here have a colour."
        if len(class_names) > NAMED
        else ""
    )
    return (
        f"{name(embedding)} of what {embedding.layer} gives, {counted(embedding.features, 'feature')} for each image: "
        f"{said} images{cut}, put there by {embedding.made_by} in {seconds(embedding.seconds)}. Filled are test "
        f"images, hollow and smaller those of train; a ring marks {counted(wrong, 'wrong answer')}.{coloured} "
        f"{_limits(embedding)}"
    )


def _limits(embedding: Embedding) -> str:
    if embedding.method == "pca":
        return (
            "This is a straight shadow of the features: near and far are true in the two directions that vary most; "
            "classes that overlap here may well lie apart in the others."
        )
    return (
        "Look for images among those of another class, and for classes that run into each other. Who is whose "
        "neighbour can be believed; the distance between two clusters, their sizes and their places in "
        f"{name(embedding)} mean little."
    )


def numbers(embeddings: Sequence[Embedding]) -> Table:
    """How far the classes lie apart in the features and on each plane; all maps are of the same layer."""
    places = _places(embeddings)
    first = next(iter(places.values()))
    rows = (
        ("silhouette", *(_signed(place.silhouette) for place in places.values())),
        (
            f"of {counted(first.k, 'neighbour')}, of the same class",
            *(percent(place.agreement) for place in places.values()),
        ),
        ("own class found by their vote", *(percent(place.accuracy) for place in places.values())),
    )
    return Table(
        titles=("", *places), rows=rows, right=_all_but_first(places), caption=_judged(places, embeddings[0].layer)
    )


def by_class(embeddings: Sequence[Embedding], class_names: Sequence[str]) -> Table:
    """The silhouette of each class, the least apart first; of many classes, only these."""
    places = _places(embeddings)
    first = next(iter(places.values())).by_class
    order = sorted(range(len(class_names)), key=lambda k: (first[k] is None, first[k]))
    shown = order[:ROWS]
    rows = tuple((class_names[k], *(_silhouette(place, k) for place in places.values())) for k in shown)
    left = len(order) - len(shown)
    more = f" {counted(left, 'class')} with higher ones are left out." if left else ""
    return Table(
        titles=("class", *places),
        rows=rows,
        right=_all_but_first(places),
        caption=f"The silhouette by class, the lowest first.{more}",
    )


def _silhouette(place: Separation, k: int) -> str:
    value = place.by_class[k]
    return UNDEFINED if value is None else _signed(value)


def _places(embeddings: Sequence[Embedding]) -> Mapping[str, Separation]:
    """The numbers by where they were taken."""
    found = {"in the features": embeddings[0].in_features}
    return found | {f"on the plane of {name(embedding)}": embedding.in_map for embedding in embeddings}


def _all_but_first(places: Mapping[str, Separation]) -> frozenset[int]:
    return frozenset(range(1, len(places) + 1))


def _judged(places: Mapping[str, Separation], layer: str) -> str:
    first, *others = places.items()
    lost = [
        f"{where} ({percent(place.agreement)})"
        for where, place in others
        if place.agreement < first[1].agreement - 0.05
    ]
    worse = f" Less of it is left {listed(lost)}: do not judge {layer} by that picture." if lost else ""
    k = first[1].k
    few = f" No more than {k} are asked, as the smallest class has no more other images here." if k < NEIGHBOURS else ""
    return (
        f"In {layer}, {percent(first[1].agreement)} of an image’s nearest neighbours are of its class.{few}{worse} The "
        "silhouette is 1 where every image is close to its own class and far from the next, 0 at a border, and below 0 "
        f"where it lies nearer to another class; it was taken over {counted(first[1].sampled, 'image')}."
    )


def _signed(value: float) -> str:
    return decimal(value, 2).replace("-", "−")
