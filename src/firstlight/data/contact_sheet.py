"""A contact sheet: some training images of every class, to see what a model will see."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from io import BytesIO

import numpy as np
from PIL import Image

from firstlight.design_tokens import SHEET, SHEET_FONT
from firstlight.image_encoding import encoded, pil_image
from firstlight.randomness import generator
from firstlight.types import Array, Dataset, Images

_COLUMNS = 10
_CELL = 72  # the longer side of an image on the sheet, in pixels, as near as whole enlargements come
GAP = 6
APART = 14  # between groups of pictures, beside the gap
MARGIN = 20
HEAD = 66  # the height of the title and the line of facts
_HEADS = 12  # the height of what stands above the columns, if anything does
_ROW = 44  # the least height of a row: a class name and its count
_LETTER = 9  # the width of a wide letter of a class name


def contact_sheet(dataset: Dataset, seed: int = 0) -> bytes:
    """Return a PNG: a row for each class with its name, its count and up to ten images drawn by `seed`.

    Small images are enlarged by a whole factor without smoothing, so that their pixels can be seen.
    """
    train = dataset.splits["train"]
    facts = f"{len(train):,} images of {'×'.join(map(str, train.shape))} in {len(train.class_names)} classes"
    rows = [[train.pixels[drawn(train, k, _COLUMNS, seed)]] for k in range(len(train.class_names))]
    return sheet(f"{shortened(dataset.name)} · train", facts, train, rows)


def drawn(images: Images, label: int, most: int, seed: int) -> Array:
    """Where up to so many images of a class are, drawn by `seed`, in their order."""
    members = np.flatnonzero(images.labels == label)
    return np.sort(generator(seed, "preview", label).permutation(members)[:most])


def sheet(title: str, facts: str, images: Images, rows: Sequence[Sequence[Array]], heads: Sequence[str] = ()) -> bytes:
    """Return a PNG: a title, a line of facts, and a row for each class of `images`, with its name and its count.

    rows   of each class the groups of pictures, uint8 (n, H, W, C); groups stand a little apart
    heads  what stands above each picture of the longest row
    """
    height, width = cell_size(images.shape[0], images.shape[1])
    names = [shortened(name) for name in images.class_names]
    left = MARGIN + _LETTER * max(9, *map(len, names)) + GAP
    step = max(height, _ROW) + GAP
    tops = [MARGIN + HEAD + (_HEADS if heads else 0) + k * step for k in range(len(names))]
    places = [_places(left, [len(group) for group in groups], width + GAP) for groups in rows]

    texts = [svg_text(MARGIN, MARGIN + 20, title, 22), svg_text(MARGIN, MARGIN + 44, facts, 13, SHEET["muted"])]
    for name, count, top in zip(names, images.counts, tops, strict=True):
        middle = top + step // 2
        texts += [
            svg_text(MARGIN, middle - 4, name, 16),
            svg_text(MARGIN, middle + 14, f"n = {count:,}", 13, SHEET["muted"]),
        ]
    longest = places[int(np.argmax([len(row) for row in places]))]
    texts += [
        svg_text(place, tops[0] - GAP, head, 12, SHEET["muted"]) for head, place in zip(heads, longest, strict=False)
    ]
    least = left + _COLUMNS * (width + GAP)
    right = max([least, *(place + width + GAP for row in places for place in row)]) - GAP
    paper = draw(texts, right + MARGIN, tops[-1] + step - GAP + MARGIN)

    for groups, row, top in zip(rows, places, tops, strict=True):
        pictures = (picture for group in groups for picture in group)
        for picture, place in zip(pictures, row, strict=True):
            paper.paste(scaled(picture, height, width), (place, top))
    return encoded(paper)


def _places(left: int, sizes: Sequence[int], step: int) -> list[int]:
    """Where each picture of a row begins."""
    places: list[int] = []
    for size in sizes:
        places += [left + k * step for k in range(size)]
        left += size * step + APART
    return places


def cell_size(height: int, width: int) -> tuple[int, int]:
    """The (height, width) of an image on the sheet."""
    longer = max(height, width)
    factor = max(1, round(_CELL / longer)) if longer <= 2 * _CELL else 2 * _CELL / longer
    return max(1, round(height * factor)), max(1, round(width * factor))


def scaled(pixels: Array, height: int, width: int) -> Image.Image:
    image = pil_image(pixels).convert("RGB")
    smaller = max(height, width) < max(pixels.shape[:2])
    return image.resize((width, height), Image.Resampling.BILINEAR if smaller else Image.Resampling.NEAREST)


def shortened(name: str, most: int = 28) -> str:
    """A name of at most so many letters, without the control characters that SVG refuses."""
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    return name if len(name) <= most else f"{name[: most - 1]}…"


def svg_text(x: int, baseline: int, text: str, size: int, colour: str = SHEET["ink"]) -> str:
    style = f'font-family="{SHEET_FONT}" font-size="{size}" fill="{colour}"'
    return f'<text x="{x}" y="{baseline}" {style}>{escape(text)}</text>'


def draw(texts: list[str], width: int, height: int) -> Image.Image:
    """White paper with SVG texts: unlike Pillow, vl-convert brings fonts beyond ASCII and uses the machine's."""
    import vl_convert

    paper = f'<rect width="{width}" height="{height}" fill="{SHEET["paper"]}"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
    png = vl_convert.svg_to_png(head + paper + "".join(texts) + "</svg>", scale=1)
    return Image.open(BytesIO(png)).convert("RGB")
