"""The explanation of a run that is shown by itself, and what its sections have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from firstlight.records.explanation import Attribution, Embedding, Explanation
from firstlight.records.group import Group
from firstlight.records.run import RunRecord
from firstlight.report.document import Picture
from firstlight.report.format import percent
from firstlight.types import Array

_METHODS = {"pca": "PCA", "t-sne": "t-SNE", "umap": "UMAP"}  # of an embedding, as they are called

T = TypeVar("T")


def explained(groups: Sequence[Group]) -> tuple[RunRecord, Explanation] | None:
    """The run and its explanation, where a single run is shown that has one."""
    if len(groups) != 1 or len(groups[0].runs) != 1:
        return None
    record = groups[0].first
    return None if record.explanation is None else (record, record.explanation)


def by_layer(explanation: Explanation) -> list[list[Embedding]]:
    """The embeddings, those of a layer together, PCA after what shows more."""
    layers = dict.fromkeys((one.layer, one.features) for one in explanation.embeddings)
    found = sorted(explanation.embeddings, key=lambda one: one.method == "pca")
    return [[one for one in found if (one.layer, one.features) == layer] for layer in layers]


def method_name(embedding: Embedding) -> str:
    """What its method is called."""
    return _METHODS.get(embedding.method, embedding.method)


def pixels_of_test_images(record: RunRecord, explanation: Explanation) -> Mapping[str, Array]:
    """The pixels of test images by their ids, from wherever they were kept; the largest there are of each."""
    found: dict[str, Array] = {}
    for embedding in explanation.embeddings:
        rows = np.flatnonzero(embedding.splits == "test").tolist()
        found |= {str(embedding.ids[i]): embedding.thumbnails[i] for i in rows}
    found |= {one.id: one.pixels for one in explanation.attributions if one.split == "test"}
    found |= {issue.id: issue.pixels for issue in explanation.label_issues if issue.split == "test"}
    found |= {mistake.id: mistake.pixels for mistake in explanation.mistakes}
    images = record.samples.get("test")
    if images is not None:
        found |= {str(name): images.pixels[i] for i, name in enumerate(images.ids)}
    return found


def answered(one: Attribution, class_names: Sequence[str]) -> Picture:
    """The image with the net's answer."""
    predicted = int(one.probabilities.argmax())
    right = None if one.label < 0 else predicted == one.label
    detail = percent(float(one.probabilities[predicted]), 0)
    if right is False:
        detail += f", true: {class_names[one.label]}"
    return Picture(one.pixels, class_names[predicted], detail, right)


def evenly(items: Sequence[T], most: int) -> list[T]:
    """At most so many of the items, spread evenly from the first to the last."""
    if len(items) <= most:
        return list(items)
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, most)]
