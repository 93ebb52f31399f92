"""A contact sheet: some training images of every class, to see what a model will see."""

from __future__ import annotations

from html import escape
from io import BytesIO

import numpy as np
from PIL import Image

from firstlight.randomness import generator
from firstlight.types import Array, Dataset

_COLUMNS = 10
_CELL = 72  # the longer side of an image on the sheet, in pixels, as near as whole enlargements come
_GAP = 6
_MARGIN = 20
_HEAD = 66  # the height of the title and the line of facts
_ROW = 44  # the least height of a row: a class name and its count
_LETTER = 9  # the width of a wide letter of a class name


def contact_sheet(dataset: Dataset, seed: int = 0) -> bytes:
    """Return a PNG: a row for each class with its name, its count and up to ten images drawn by `seed`.

    Small images are enlarged by a whole factor without smoothing, so that their pixels can be seen.
    """
    train = dataset.splits["train"]
    height, width = _cell_size(train.shape[0], train.shape[1])
    names = [_shortened(name) for name in train.class_names]
    left = _MARGIN + _LETTER * max(9, *map(len, names)) + _GAP
    step = max(height, _ROW) + _GAP
    tops = [_MARGIN + _HEAD + k * step for k in range(len(names))]

    facts = f"{len(train):,} images of {'×'.join(map(str, train.shape))} in {len(names)} classes"
    texts = [_text(_MARGIN + 20, 22, _shortened(dataset.name) + " · train"), _text(_MARGIN + 44, 13, facts, "#6e6e73")]
    for name, count, top in zip(names, train.counts, tops, strict=True):
        middle = top + step // 2
        texts += [_text(middle - 4, 16, name), _text(middle + 14, 13, f"n = {count:,}", "#6e6e73")]
    sheet = _draw(texts, left + _COLUMNS * (width + _GAP) - _GAP + _MARGIN, tops[-1] + step - _GAP + _MARGIN)

    for k, top in enumerate(tops):
        members = np.flatnonzero(train.labels == k)
        chosen = np.sort(generator(seed, "preview", k).permutation(members)[:_COLUMNS])
        for column, i in enumerate(chosen):
            sheet.paste(_scaled(train.pixels[i], height, width), (left + column * (width + _GAP), top))
    buffer = BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _cell_size(height: int, width: int) -> tuple[int, int]:
    """The (height, width) of an image on the sheet."""
    longer = max(height, width)
    factor = max(1, round(_CELL / longer)) if longer <= 2 * _CELL else 2 * _CELL / longer
    return max(1, round(height * factor)), max(1, round(width * factor))


def _scaled(pixels: Array, height: int, width: int) -> Image.Image:
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    smaller = max(height, width) < max(pixels.shape[:2])
    return image.resize((width, height), Image.Resampling.BILINEAR if smaller else Image.Resampling.NEAREST)


def _shortened(name: str) -> str:
    name = "".join(letter if letter.isprintable() else "?" for letter in name)  # SVG refuses control characters
    return name if len(name) <= 28 else f"{name[:27]}…"


def _text(baseline: int, size: int, text: str, colour: str = "#1c1c1e") -> str:
    style = f'font-family="Helvetica, Arial, sans-serif" font-size="{size}" fill="{colour}"'
    return f'<text x="{_MARGIN}" y="{baseline}" {style}>{escape(text)}</text>'


def _draw(texts: list[str], width: int, height: int) -> Image.Image:
    """White paper with SVG texts: unlike Pillow, vl-convert brings fonts beyond ASCII and uses the machine's."""
    import vl_convert

    paper = f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
    png = vl_convert.svg_to_png(head + paper + "".join(texts) + "</svg>", scale=1)
    return Image.open(BytesIO(png)).convert("RGB")
