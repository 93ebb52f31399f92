"""How often the classes come: images per class before and after what the experiment makes of them, and what that does.

Where classes were left out or regrouped, "before" are those of the source. Where sampling is balanced, "after" is what
an epoch draws of the training images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from firstlight.records.run import RunRecord
from firstlight.report import charts
from firstlight.report.document import Beside, Block, Chart, Heading
from firstlight.report.format import count, counted, decimal, listed, percent

NAMED = 12  # classes: of more, only the ends are named one by one


def images_per_class(record: RunRecord) -> list[Block]:
    """The histograms, with headings where there is a before and an after."""
    rows: list[tuple[str, Beside]] = []
    if record.before:
        names, counts = record.before
        caption = _left_out(record, names, counts)
        rows.append(("Before: the classes as they came", Beside(_histograms(names, counts), caption=caption)))
    if record.counts:
        title = f"{'After' if record.before else 'Before'}: the classes as they are used"
        caption = class_counts(record.class_names, record.counts)
        rows.append((title, Beside(_histograms(record.class_names, record.counts), caption=caption)))
    if record.drawn:
        most = max(*record.drawn, *record.counts["train"])
        before = _histogram(record, record.counts["train"], "train images", most)
        after = _histogram(record, record.drawn, "drawn in an epoch", most)
        caption = f"Left: the training images. {_drawn(record)}"
        rows.append(("After balanced sampling: what an epoch draws", Beside((before, after), caption=caption)))
    if len(rows) < 2:
        return [row for _, row in rows]
    return [block for title, row in rows for block in (Heading(title), row)]


def notes(record: RunRecord) -> list[str]:
    """What class weights and balanced sampling did to training, and what they did not touch."""
    texts = []
    if record.class_weights:
        weights = dict(zip(record.class_names, record.class_weights, strict=True))
        texts.append(
            f"In training, the loss of an image was multiplied by the weight of its class: {_weights(weights)}. "
            "Validation and test loss are not weighted, so that they compare between runs."
        )
    if record.drawn:
        texts.append(f"Sampling was balanced. {_drawn(record)} Validation and test images are as they came.")
    return texts


def class_counts(class_names: Sequence[str], counts: Mapping[str, Sequence[int]]) -> str:
    """What the histograms of a run's splits show."""
    train = np.array(next(iter(counts.values())))
    smallest, largest = class_names[int(train.argmin())], class_names[int(train.argmax())]
    if train.max() <= 1.2 * max(1, train.min()):
        return "Images per class in each split. The classes are about equally frequent."
    return (
        f"Images per class in each split. The rarest class is {smallest} ({count(int(train.min()))} to learn from), "
        f"the most frequent {largest} ({count(int(train.max()))})."
    )


def _histograms(class_names: Sequence[str], counts: Mapping[str, Sequence[int]]) -> tuple[Chart, ...]:
    return tuple(
        Chart(
            spec=charts.histogram(class_names, numbers, f"{split} images"),
            description=f"Images per class of the {split} split.",
            width=300,
        )
        for split, numbers in counts.items()
    )


def _histogram(record: RunRecord, counts: Sequence[int], title: str, most: int) -> Chart:
    spec = charts.histogram(record.class_names, counts, title, most)
    return Chart(spec=spec, description=f"Images per class: {title}.", width=440)


def _left_out(record: RunRecord, names: Sequence[str], counts: Mapping[str, Sequence[int]]) -> str:
    """What the classes were, and how many of the images are no longer there."""
    total, now = (sum(map(sum, each.values())) for each in (counts, record.counts))
    became = f"{counted(len(names), 'class')} became {count(len(record.class_names))}"
    left = f"{count(total - now)} of {count(total)} images were" if now < total else "no image was"
    return f"{class_counts(names, counts)} {became}; {left} left out."


def _drawn(record: RunRecord) -> str:
    """How often balanced sampling takes an image of the rarest class and of the most frequent one."""
    there = np.array(record.counts["train"])
    rarest, commonest = int(np.where(there, there, there.max()).argmin()), int(there.argmax())
    share = sum(record.drawn) / np.count_nonzero(there)
    return (
        f"Each epoch draws {count(sum(record.drawn))} images, all classes equally often: each image of "
        f"{record.class_names[rarest]}, the rarest class, {decimal(share / there[rarest], 1)} times, and "
        f"{percent(min(1.0, share / there[commonest]), 0)} of those of {record.class_names[commonest]}, the most "
        "frequent."
    )


def _weights(weights: Mapping[str, float]) -> str:
    if len(weights) <= NAMED:
        return listed([f"{name} {weight:.3g}" for name, weight in weights.items()])
    least, most = min(weights, key=lambda name: weights[name]), max(weights, key=lambda name: weights[name])
    return f"from {weights[least]:.3g} ({least}) to {weights[most]:.3g} ({most})"
