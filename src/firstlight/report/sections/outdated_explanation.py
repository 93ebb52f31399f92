"""A warning where the explanation of a run is of other weights than its predictions, as one that went on has it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from firstlight.records.explanation import Explanation
from firstlight.records.group import Group
from firstlight.report.document import Block, Section, Text
from firstlight.report.explanation import explained
from firstlight.report.format import count, counted

SAME = 0.01  # by which a confidence may differ between an explanation and the predictions, as sums in another order do
FEW = 0.01  # of the answers may differ more


@dataclass(frozen=True, eq=False)
class Outdated:
    """How many test images are in both the explanation and the predictions, and what is not the same in them."""

    run: str
    both: int
    changed: int = 0
    moved: int = 0


def numbers(group: Group) -> Outdated | None:
    """What is not the same; None where the explanation is of the weights that were measured, or there is none."""
    if (found := explained([group])) is None:
        return None
    record, explanation = found
    predictions = record.predictions
    now = {
        str(name): (int(answer), float(sure))
        for name, answer, sure in zip(predictions.ids, predictions.predicted, predictions.confidence, strict=True)
    }
    then = {name: answer for name, answer in _answers(explanation) if name in now}
    if not then:
        return Outdated(record.name, 0) if next(iter(_answers(explanation)), None) else None
    changed = sum(then[name][0] != now[name][0] for name in then)
    moved = sum(abs(then[name][1] - now[name][1]) > SAME for name in then)
    return Outdated(record.name, len(then), changed, moved) if moved > FEW * len(then) else None


def _answers(explanation: Explanation) -> Iterable[tuple[str, tuple[int, float]]]:
    """The answers to test images that the explanation holds."""
    for embedding in explanation.embeddings:
        for i in np.flatnonzero(embedding.splits == "test").tolist():
            yield str(embedding.ids[i]), (int(embedding.predicted[i]), float(embedding.confidence[i]))
    for mistake in explanation.mistakes:
        yield mistake.id, (mistake.predicted, mistake.confidence)
    for one in explanation.attributions:
        if one.split == "test":
            yield one.id, (int(one.probabilities.argmax()), float(one.probabilities.max()))


def section(groups: Sequence[Group]) -> Section | None:
    found = numbers(groups[0]) if len(groups) == 1 and groups[0].runs else None
    return None if found is None else Section("Before you trust it", "notes", blocks(found))


def blocks(found: Outdated) -> tuple[Block, ...]:
    again = f"Make it again: firstlight explain {shlex.quote(found.run)}"
    if not found.both:
        said = f"The explanation is of other test images than the predictions. {again}"
    else:
        said = (
            f"The explanation was made of other weights than the predictions: of {counted(found.both, 'test image')} "
            f"in both, {count(found.changed)} now have another prediction and {count(found.moved)} another "
            f"probability. Feature maps, attribution, embedding and neighbours are those of the older net. {again}"
        )
    return (Text(said, tone="warning"),)


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd explanations, by what is odd."""
    return {"of older weights": blocks(Outdated("<b>", 30, 0, 30)), "of other images": blocks(Outdated("<b>", 0))}
