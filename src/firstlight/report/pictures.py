"""The test images that were kept with a run, as pictures with the answers of its net."""

from __future__ import annotations

from firstlight.records.run import RunRecord
from firstlight.report.document import Picture
from firstlight.report.format import percent
from firstlight.types import Array


def kept(record: RunRecord) -> dict[int, Array]:
    """The test samples by their row in the predictions, joined by id; samples without a prediction are left out."""
    images = record.samples.get("test")
    if images is None:
        return {}
    row = {str(name): i for i, name in enumerate(record.predictions.ids)}
    return {row[str(name)]: images.pixels[i] for i, name in enumerate(images.ids) if str(name) in row}


def answered(record: RunRecord, row: int, pixels: Array) -> Picture:
    """An image with the answer of the net, its confidence and the true class; `row` is of the predictions."""
    predictions, names = record.predictions, record.class_names
    right = bool(predictions.correct[row])
    detail = f"{percent(float(predictions.confidence[row]), 0)}, true: {names[int(predictions.labels[row])]}"
    return Picture(pixels, names[int(predictions.predicted[row])], detail, right)
