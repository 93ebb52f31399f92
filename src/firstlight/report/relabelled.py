"""Two runs on the same test images, some of which bear other labels in one of them, since labels were corrected."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from firstlight.evaluation import McNemar, mcnemar
from firstlight.records.group import Group, paired
from firstlight.records.images import CorrectionRecord
from firstlight.records.run import RunRecord
from firstlight.types import Array, Predictions


@dataclass(frozen=True, eq=False)
class Relabelled:
    """The test images that two runs have in common, with the labels of each.

    before, after  what the nets of the first and of the second run said of them, with the labels of the first
    labels         those of the second run, int64 (N,)
    left_out       test images of the first run that the second has not, and the other way about
    """

    before: Predictions
    after: Predictions
    labels: Array
    left_out: tuple[int, int]

    @property
    def changed(self) -> int:
        """Images whose labels differ."""
        return int((self.before.labels != self.labels).sum())

    def corrects(self, old: bool) -> tuple[Array, Array]:
        """Which images each net is right about, boolean (N,), by the labels of the first run or of the second."""
        labels = self.before.labels if old else self.labels
        return self.before.predicted == labels, self.after.predicted == labels

    def test(self, old: bool) -> McNemar:
        """The second net against the first, on the same images with the same labels."""
        labels = self.before.labels if old else self.labels
        return mcnemar(replace(self.after, labels=labels), replace(self.before, labels=labels))


def corrections_differ(first: RunRecord, second: RunRecord) -> bool:
    """Whether two runs were given other corrections of labels."""
    one, other = first.run.data.corrections, second.run.data.corrections
    return (one and one.sha256) != (other and other.sha256)


def relabelled(first: RunRecord, second: RunRecord) -> Relabelled | None:
    """The test images of both; None where corrections do not tell why these differ: another split, or other images."""
    if first.class_names != second.class_names or not corrections_differ(first, second):
        return None
    one, other = (record.predictions for record in (first, second))
    ids, places, others = np.intersect1d(one.ids, other.ids, return_indices=True)
    corrected = {row.id for record in (first, second) for row in _rows(record)}
    labels = other.labels[others]
    different = {
        *ids[one.labels[places] != labels].tolist(),
        *np.setxor1d(one.ids, other.ids).tolist(),
    }
    if not len(ids) or not different <= corrected:
        return None
    before = Predictions(ids, one.labels[places], one.probabilities[places])
    after = Predictions(ids, one.labels[places], other.probabilities[others])
    return Relabelled(before, after, labels, (len(one) - len(ids), len(other) - len(ids)))


def of_groups(first: Group, second: Group) -> list[Relabelled]:
    """Of their runs two by two, by seed and fold; none where one of these pairs was not tested on the same images."""
    found = [relabelled(one, other) for one, other in paired(first, second)]
    return [each for each in found if each is not None] if None not in found else []


def _rows(record: RunRecord) -> tuple[CorrectionRecord, ...]:
    corrections = record.run.data.corrections
    return corrections.rows if corrections else ()
