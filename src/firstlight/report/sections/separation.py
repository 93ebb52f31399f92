"""Class separation: how far the classes lie apart, in the features of a layer and on each plane of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from firstlight.records.explanation import NEIGHBOURS, Embedding, Explanation, Separation
from firstlight.records.group import Group
from firstlight.report.document import Beside, Block, Heading, Section, Table
from firstlight.report.explanation import by_layer, explained, method_name
from firstlight.report.format import UNDEFINED, counted, decimal, percent
from firstlight.text import listed

ROWS = 12  # classes in the table by class


def numbers(group: Group) -> list[list[Embedding]]:
    """The embeddings of an explained run with their separations, those of a layer together."""
    found = explained([group])
    return by_layer(found[1]) if found else []


def section(groups: Sequence[Group]) -> Section | None:
    found = numbers(groups[0]) if len(groups) == 1 else []
    if not found:
        return None
    made: list[Block] = []
    for embeddings in found:
        if len(found) > 1:
            made.append(Heading(f"In {embeddings[0].layer}"))
        made += blocks(embeddings, groups[0].first.class_names)
    return Section(f"Class separation in {listed([one[0].layer for one in found])}", "separation", tuple(made))


def card(explanation: Explanation, class_names: Sequence[str]) -> tuple[Block, ...]:
    """What a card shows of an explanation without its run."""
    return (table(explanation.embeddings),) if explanation.embeddings else ()


def blocks(embeddings: Sequence[Embedding], class_names: Sequence[str]) -> tuple[Block, ...]:
    """The numbers of a layer's embeddings, and those of each class."""
    return (Beside((table(embeddings), by_class(embeddings, class_names))),)


def table(embeddings: Sequence[Embedding]) -> Table:
    """How far the classes lie apart in the features and on each plane; all maps are of the same layer."""
    places = _places(embeddings)
    first = next(iter(places.values()))
    rows = (
        ("silhouette", *(_signed(place.silhouette) for place in places.values())),
        (
            f"of {counted(first.k, 'neighbour')}, of the same class",
            *(percent(place.agreement) for place in places.values()),
        ),
        ("accuracy of their majority vote", *(percent(place.accuracy) for place in places.values())),
    )
    return Table(
        titles=("", *places), rows=rows, right=_all_but_first(places), caption=caption(places, embeddings[0].layer)
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
    return found | {f"on the plane of {method_name(embedding)}": embedding.in_map for embedding in embeddings}


def _all_but_first(places: Mapping[str, Separation]) -> frozenset[int]:
    return frozenset(range(1, len(places) + 1))


def caption(places: Mapping[str, Separation], layer: str) -> str:
    first, *others = places.items()
    lost = [
        f"{where} ({percent(place.agreement)})"
        for where, place in others
        if place.agreement < first[1].agreement - 0.05
    ]
    worse = f" Less of it is left {listed(lost)}: do not judge {layer} by that plot." if lost else ""
    k = first[1].k
    few = (
        f" At most {k} neighbours are used, as the smallest class has no more other images here."
        if k < NEIGHBOURS
        else ""
    )
    return (
        f"In {layer}, {percent(first[1].agreement)} of an image’s nearest neighbours are of its class.{few}{worse} The "
        "silhouette is 1 where every image is close to its own class and far from the next, 0 at a border, and below 0 "
        f"where it lies nearer to another class; it was taken over {counted(first[1].sampled, 'image')}."
    )


def _signed(value: float) -> str:
    return decimal(value, 2).replace("-", "−")


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd numbers, by what is odd."""
    usual = Separation(0.2, (0.3, -0.1, None), 60, 0.8, 0.9, NEIGHBOURS)
    none = np.zeros(0)
    one = Embedding("t-sne", "scikit-learn", "<b>", 128, 1.5, none, none, none, none, none, none, none, usual, usual)
    lost = replace(one, method="umap", in_map=replace(usual, agreement=0.4, k=2))
    few = replace(one, in_features=replace(usual, k=2))
    many = replace(usual, by_class=tuple(np.linspace(-1, 1, 30).tolist()))
    names = [f"class {k}" for k in range(30)]
    return {
        "usual": blocks([one], names[:3]),
        "less on the planes": blocks([one, lost], names[:3]),
        "few neighbours": blocks([few], names[:3]),
        "many classes": blocks([replace(one, in_features=many, in_map=many)], names),
    }
