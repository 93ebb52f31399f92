"""Augmentation in a report: what was asked for, drawn images beside their originals, and what it does to curves."""

from __future__ import annotations

import numpy as np

from firstlight.records.run import RunRecord
from firstlight.report.document import Block, Heading, ImageGrid, Picture
from firstlight.report.format import percent
from firstlight.types import Json

MINUS = "−"
MOVES = ("zoom", "shear", "rotate", "shift")  # what looks outside an image
DEGREES = ("rotate", "shear")
FLIPS = {"flip_horizontal": "mirrored left to right", "flip_vertical": "mirrored upside down"}


def in_words(table: Json) -> str:
    """An `[augment]` table as a phrase; empty where it asks for nothing."""
    kinds = [_kind(name, value) for name, value in table.items() if isinstance(value, dict) and value.get("p")]
    kinds += [f"{words} (p {table[name]:g})" for name, words in FLIPS.items() if table.get(name)]
    if not kinds:
        return ""
    fill, value = table.get("fill", "nearest"), table.get("fill_value", 0)
    if any(name in table for name in MOVES):
        kinds.append(f"outside {fill}" + (f" {value}" if fill == "constant" else ""))
    return ", ".join(kinds)


def pictures(record: RunRecord) -> list[Block]:
    """Training images, each followed by what was drawn for it in the first epochs; nothing where none were kept."""
    originals, drawn = record.samples.get("train"), record.samples.get("augmented")
    if originals is None or drawn is None or not len(drawn):
        return []
    shown: list[Picture] = []
    columns = 0
    for name in dict.fromkeys(drawn.ids.tolist()):
        row = np.flatnonzero(drawn.ids == name)
        columns = max(columns, 1 + len(row))
        for i in np.flatnonzero(originals.ids == name)[:1]:
            shown.append(Picture(originals.pixels[i], record.class_names[originals.labels[i]], "original"))
            shown += [Picture(drawn.pixels[k], f"epoch {epoch}") for epoch, k in enumerate(row, 1)]
    caption = (
        "Training images, each with what was drawn for it in the first epochs: what the model learnt from. Can you "
        "still tell the class of each? Then the model can learn it. Validation and test images are as they are."
    )
    return [Heading("Augmented"), ImageGrid(tuple(shown), columns, caption)]


def _kind(name: str, value: Json) -> str:
    low, high = value["range"]
    p = f" (p {value['p']:g})" if value["p"] < 1 else ""
    if low == -high and high:
        return f"{name} ±{_amount(name, high)}{p}"
    ends = dict.fromkeys(_amount(name, end) for end in (low, high))
    return f"{name} {' to '.join(ends)}{p}"


def _amount(name: str, value: float) -> str:
    size = abs(value)
    text = f"{size:g}°" if name in DEGREES else percent(size, 0 if round(100 * size, 6).is_integer() else 1)
    return f"{MINUS}{text}" if value < 0 else text
