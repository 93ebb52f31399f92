"""Which images the page goes through: doubts or all, narrowed down by class and id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from firstlight.app.pages.review.subject import Everything, Subject
from firstlight.data.corrections import Correction
from firstlight.types import Json


@dataclass(frozen=True)
class Wanted:
    """Which images are asked for: of a label, of an answer or a suggested class, with a text in their ids; in order."""

    label: int | None
    answer: int | None
    text: str
    order: str


def of_doubts(subject: Subject, wanted: Wanted, done: Mapping[str, Correction]) -> list[Json]:
    """The doubts that are asked for, as the list of the page has them."""
    found = [
        doubt
        for doubt in subject.doubts
        if wanted.label in (None, doubt.given)
        and wanted.answer in (None, doubt.suggested)
        and (not wanted.text or wanted.text in str(subject.predictions.ids[doubt.row]))
    ]
    if wanted.order == "margin":
        found.sort(key=lambda doubt: -doubt.margin)
    elif wanted.order == "pair":
        sizes = Counter((doubt.given, doubt.suggested) for doubt in found)
        found.sort(key=lambda doubt: (-sizes[doubt.given, doubt.suggested], doubt.given, doubt.suggested))
    elif wanted.order == "data":
        found.sort(key=lambda doubt: doubt.row)
    return [
        {
            "id": (sample := str(subject.predictions.ids[doubt.row])),
            "split": str(subject.splits[doubt.row]),
            "label": doubt.given,
            "answer": doubt.suggested,
            "margin": doubt.margin,
            "decided": _short(done.get(sample)),
        }
        for doubt in found
    ]


def of_all(subject: Subject, every: Everything, wanted: Wanted, done: Mapping[str, Correction]) -> list[Json]:
    """The images that are asked for, in the order of the data."""
    answers = np.where(every.rows >= 0, subject.predictions.predicted[every.rows], -1)
    chosen = np.ones(len(every.ids), bool)
    if wanted.label is not None:
        chosen &= every.labels == wanted.label
    if wanted.answer is not None:
        chosen &= answers == wanted.answer
    if wanted.text:
        chosen &= np.char.find(every.ids, wanted.text) >= 0
    return [
        {
            "id": (sample := str(every.ids[i])),
            "split": str(every.splits[i]),
            "label": int(every.labels[i]),
            "answer": int(answers[i]) if answers[i] >= 0 else None,
            "margin": None,
            "decided": _short(done.get(sample)),
        }
        for i in np.flatnonzero(chosen).tolist()
    ]


def _short(row: Correction | None) -> str | None:
    """What a list says of a decision: the new label, "" of a dropped image."""
    return None if row is None else row.new
