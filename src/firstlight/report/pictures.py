"""The pictures of a report: samples of each split, answers on test images, and the most confident mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from firstlight.evaluation import most_confident_mistakes, most_missed_class
from firstlight.records.run import RunRecord
from firstlight.report import captions
from firstlight.report.document import Bar, Heading, ImageGrid, Panel, Panels, Picture, Text
from firstlight.report.format import counted, percent
from firstlight.types import SPLITS, Array, Images

SAMPLES = 10
ANSWERS = 25
MISTAKES = 15
PANELS = 12
LIKELIEST = 5


def samples(record: RunRecord) -> list[ImageGrid]:
    """A row of images of each split, from as many classes as fit, in the order of the classes."""
    grids = []
    for split in SPLITS:
        images = record.samples.get(split)
        if images is None or len(images) == 0:
            continue
        pictures = tuple(Picture(images.pixels[i], record.class_names[images.labels[i]]) for i in spread(images))
        total = sum(record.counts.get(split, ())) or len(images)
        grids.append(ImageGrid(pictures, SAMPLES, caption=f"{split.capitalize()}: {counted(total, 'image')}."))
    return grids


def spread(images: Images, size: int = SAMPLES) -> Array:
    """Indices of `size` images that show as many classes as they can, in the order of the classes."""
    seen: dict[int, int] = {}
    turn = np.zeros(len(images), dtype=np.int64)
    for i, label in enumerate(images.labels.tolist()):
        turn[i] = seen[label] = seen.get(label, -1) + 1
    chosen = np.lexsort((images.labels, turn))[:size]
    return chosen[np.lexsort((turn[chosen], images.labels[chosen]))]


def answers(record: RunRecord) -> ImageGrid | Text:
    """The model's answers on random test images, which stand first among the samples of the test split."""
    found = _joined(record)
    rows = list(found.items())[:ANSWERS]
    if not rows:
        return Text("No test images were kept with this run.", tone="note")
    pictures = tuple(_answer(record, row, pixels) for row, pixels in rows)
    right = sum(bool(picture.right) for picture in pictures)
    return ImageGrid(pictures, columns=5, caption=captions.answers(right, len(pictures)))


def panels(record: RunRecord) -> tuple[Heading | Panels, ...]:
    """Half of the prediction panels from the random sample, half mistakes; nothing where no images were kept.

    The mistakes go from the least sure to the surest of those that were kept. Where they are few, the sample fills up.
    """
    correct, confidence = record.predictions.correct, record.predictions.confidence
    found = _joined(record)
    sample = list(found)[: PANELS // 2]
    wrong = [row for row in found if not correct[row] and row not in sample]
    wrong.sort(key=lambda row: float(confidence[row]))
    spaced = np.linspace(0, len(wrong) - 1, min(PANELS // 2, len(wrong))).round().astype(int)
    chosen = [wrong[i] for i in spaced]
    sample += [row for row in found if row not in (*sample, *chosen)][: PANELS - len(sample) - len(chosen)]
    if not sample:
        return ()
    block = Panels(
        tuple(_panel(record, row, found[row]) for row in (*sample, *chosen)),
        caption=captions.panels(len(sample), len(chosen), len(record.class_names) > LIKELIEST),
    )
    return Heading("Prediction panels"), block


def mistakes(record: RunRecord) -> ImageGrid | Text:
    """The most confident mistakes, the surest first."""
    predictions = record.predictions
    total = int((~predictions.correct).sum())
    if not total:
        return Text("There are no mistakes to show: every test image was recognized.", tone="note")
    found = _joined(record)
    rows = [int(row) for row in most_confident_mistakes(predictions, MISTAKES) if int(row) in found]
    if not rows:
        return Text("No images of the mistakes were kept with this run.", tone="note")
    pictures = tuple(_answer(record, row, found[row]) for row in rows)
    return ImageGrid(
        pictures, columns=5, caption=captions.mistakes(len(rows), total, float(predictions.confidence[rows[0]]))
    )


def missed(record: RunRecord) -> tuple[Heading | ImageGrid, ...]:
    """The mistakes of the class that is recognized least, under a heading; nothing where they are not at hand."""
    predictions = record.predictions
    k = most_missed_class(predictions)
    if k is None or len(record.class_names) < 3:  # of two classes, the confusion matrix has said it all
        return ()
    found = _joined(record)
    rows = [int(row) for row in most_confident_mistakes(predictions, MISTAKES, k) if int(row) in found]
    if not rows:
        return ()
    of_class = predictions.labels == k
    wrong = int((of_class & ~predictions.correct).sum())
    grid = ImageGrid(
        tuple(_answer(record, row, found[row]) for row in rows),
        columns=5,
        caption=captions.missed(record.class_names[k], len(rows), wrong, int(of_class.sum())),
    )
    return Heading(f"What {record.class_names[k]} is mistaken for"), grid


def still_wrong(runs: Mapping[str, RunRecord], chosen: str = "the best by validation") -> ImageGrid | Text:
    """Test images that the first run gets wrong, `chosen` so, with how many of the others are right."""
    (name, best), *others = runs.items()
    total = int((~best.predictions.correct).sum())
    found = _joined(best)
    surest = most_confident_mistakes(best.predictions, total)
    rows = [int(row) for row in surest if int(row) in found][:MISTAKES]
    if not rows:
        return Text(f"{name} makes no mistake on the test images that were kept.", tone="note")
    right = [set(other.predictions.ids[other.predictions.correct].tolist()) for _, other in others]
    pictures = []
    for row in rows:
        picture = _answer(best, row, found[row])
        agree = sum(best.predictions.ids[row].item() in ids for ids in right)
        beside = f"; {agree} of {counted(len(right), 'other')} right" if right else ""
        pictures.append(replace(picture, detail=f"{picture.detail}{beside}"))
    return ImageGrid(tuple(pictures), columns=5, caption=captions.still_wrong(len(rows), total, name, chosen))


def _joined(record: RunRecord) -> dict[int, Array]:
    """The test samples by their row in the predictions, joined by id; samples without a prediction are left out."""
    images = record.samples.get("test")
    if images is None:
        return {}
    row = {str(name): i for i, name in enumerate(record.predictions.ids)}
    return {row[str(name)]: images.pixels[i] for i, name in enumerate(images.ids) if str(name) in row}


def _answer(record: RunRecord, row: int, pixels: Array) -> Picture:
    predictions, names = record.predictions, record.class_names
    right = bool(predictions.correct[row])
    detail = f"{percent(float(predictions.confidence[row]), 0)}, true: {names[int(predictions.labels[row])]}"
    return Picture(pixels, names[int(predictions.predicted[row])], detail, right)


def _panel(record: RunRecord, row: int, pixels: Array) -> Panel:
    """The likeliest classes of an image; the true one takes the last place where it is not among them."""
    predictions, names = record.predictions, record.class_names
    probabilities, true = predictions.probabilities[row], int(predictions.labels[row])
    answer, right = int(predictions.predicted[row]), bool(predictions.correct[row])
    likeliest = [answer, *(int(k) for k in np.argsort(-probabilities, kind="stable") if k != answer)][:LIKELIEST]
    if true not in likeliest:
        likeliest[-1] = true
    bars = []
    for k in likeliest:
        share = float(probabilities[k])
        bars.append(
            Bar(names[k], share, percent(share, 0), "true" if k == true else "wrong" if k == answer else "other")
        )
    text = f"{names[answer]}, {bars[0].text}; true: {names[true]}"
    return Panel(pixels, text, right, tuple(bars))
