"""The sections of a report that `firstlight explain` makes possible, and the line that stands there without it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from firstlight.errors import RunError
from firstlight.records.explanation import EXPLANATION, Explanation
from firstlight.records.run import RunRecord
from firstlight.report import activation_maximization, attribution, embedding, feature_maps, neighbours
from firstlight.report.document import Beside, Block, Code, Heading, Picture, Section, Text
from firstlight.report.format import count, counted
from firstlight.types import Array

SAME = 0.01  # by which a confidence may differ between an explanation and the predictions, as sums in another order do


def command(record: RunRecord) -> Code:
    """The command that makes the sections."""
    return Code(
        f"firstlight explain {shlex.quote(record.name)}",
        title="To add what its layers see, where it looks and what it takes for alike, in the folder around the run’s:",
    )


def sections(record: RunRecord) -> tuple[Section, ...]:
    """The sections of the run's explanation; none where there is no explanation."""
    explanation = record.explanation
    if explanation is None:
        return ()
    _check(record, explanation)
    names = record.class_names
    flawless = record.test.correct == record.test.images
    found = (
        Section(
            "What the layers see",
            "layers",
            (
                *feature_maps.maps(explanation, _shown(record, explanation)),
                *feature_maps.filters(explanation.filters),
                *feature_maps.table(explanation),
            ),
        ),
        Section(
            "Where it looks",
            "looks",
            (*attribution.blocks(explanation, names), *activation_maximization.blocks(explanation.maximizing_images)),
        ),
        Section("Neighbourhoods", "neighbourhoods", _neighbourhoods(record, explanation)),
        Section(
            "Mistakes and their neighbours",
            "nearest",
            (
                *((Text("No test image was mistaken.", tone="note"),) if flawless else ()),
                *neighbours.mistakes(explanation, names),
                *neighbours.label_issues(explanation.label_issues, names),
                *neighbours.pairs(record, explanation),
            ),
        ),
    )
    kept = [section for section in found if section.blocks]
    if kept:
        kept[0] = replace(kept[0], blocks=(*_age(record, explanation), *kept[0].blocks))
    return tuple(kept)


def _neighbourhoods(record: RunRecord, explanation: Explanation) -> tuple[Block, ...]:
    """The maps, those of a layer together, and how far its classes lie apart."""
    names = record.class_names
    blocks: list[Block] = []
    kept: tuple[Array, Array] | None = None  # what the last map drew: maps of the same images share their pictures
    for layer in dict.fromkeys((plane.layer, plane.features) for plane in explanation.embeddings):
        of_layer = [plane for plane in explanation.embeddings if (plane.layer, plane.features) == layer]
        of_layer.sort(key=lambda plane: plane.method == "pca")  # after those that show more
        for plane in of_layer:
            rows = embedding.chosen(plane)
            if not len(rows):
                continue
            ids = np.char.add(np.char.add(plane.splits[rows].astype(str), "/"), plane.ids[rows].astype(str))
            if kept is None or not np.array_equal(kept[0], ids):
                kept = ids, plane.thumbnails[rows]
            blocks += [Heading(embedding.name(plane)), embedding.chart(plane, names, rows, kept[1])]
        tables = (embedding.numbers(of_layer), embedding.by_class(of_layer, names))
        blocks += [Heading(f"How far the classes lie apart in {layer[0]}"), Beside(tables)]
    return tuple(blocks)


def _shown(record: RunRecord, explanation: Explanation) -> Picture | None:
    """The image whose feature maps these are, where its pixels are at hand."""
    shown = next((one for one in explanation.attributions if one.id == explanation.image), None)
    if shown:
        return attribution.answered(shown, record.class_names)
    pixels = neighbours.test_pixels(record, explanation).get(explanation.image)
    return None if pixels is None else Picture(pixels, explanation.image)


def _age(record: RunRecord, explanation: Explanation) -> list[Text]:
    """A warning where the explanation is of other weights than the predictions, which a run that went on has."""
    now = {
        str(name): (int(answer), float(sure))
        for name, answer, sure in zip(
            record.predictions.ids, record.predictions.predicted, record.predictions.confidence, strict=True
        )
    }
    then = {name: answer for name, answer in _answers(explanation) if name in now}
    changed = sum(then[name][0] != now[name][0] for name in then)
    moved = sum(abs(then[name][1] - now[name][1]) > SAME for name in then)
    again = f"Make it anew: firstlight explain {shlex.quote(record.name)}"
    if not then and next(iter(_answers(explanation)), None):
        return [Text(f"The explanation is of other test images than the predictions. {again}", tone="warning")]
    if moved <= 0.01 * len(then):
        return []
    said = (
        "The explanation was made of other weights than the predictions: of "
        f"{counted(len(then), 'test image')} in both, {count(changed)} now have another answer and {count(moved)} "
        f"another probability. The sections from here to the labels tell of the older net. {again}"
    )
    return [Text(said, tone="warning")]


def _answers(explanation: Explanation) -> Iterable[tuple[str, tuple[int, float]]]:
    """The answers to test images that the explanation holds."""
    for plane in explanation.embeddings:
        for i in np.flatnonzero(plane.splits == "test").tolist():
            yield str(plane.ids[i]), (int(plane.predicted[i]), float(plane.confidence[i]))
    for mistake in explanation.mistakes:
        yield mistake.id, (mistake.predicted, mistake.confidence)
    for look in explanation.attributions:
        if look.split == "test":
            yield look.id, (int(look.probabilities.argmax()), float(look.probabilities.max()))


def _check(record: RunRecord, explanation: Explanation) -> None:
    """Raises RunError where the explanation speaks of classes that the run does not have."""
    classes = len(record.class_names)
    known = all(
        0 <= int(label) < classes
        for labels in _labels(explanation)
        for label in np.unique(np.asarray(labels, dtype=np.int64)).tolist()
    )
    lengths = {len(look.probabilities) for look in explanation.attributions}
    lengths |= {len(place.by_class) for plane in explanation.embeddings for place in (plane.in_features, plane.in_map)}
    if not known or lengths - {classes}:
        raise RunError(
            f"{record.run.path / EXPLANATION} has other classes than the run, which has {classes}. "
            f"Make it anew: firstlight explain {record.run.path}"
        )


def _labels(explanation: Explanation) -> Iterable[Array | list[int]]:
    """Every class number that a section looks up; -1, an unknown class of an image looked at, is none."""
    yield from (labels for plane in explanation.embeddings for labels in (plane.labels, plane.predicted))
    yield from (mistake.nearest.labels for mistake in explanation.mistakes)
    yield [label for mistake in explanation.mistakes for label in (mistake.label, mistake.predicted)]
    yield [label for suspect in explanation.label_issues for label in (suspect.given, suspect.suggested)]
    yield [label for look in explanation.attributions for label in (look.target, max(look.label, 0))]
