"""Contact sheets: some training images of every class, to see what a model will see; and near copies, pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from io import BytesIO

import numpy as np
from PIL import Image

from firstlight.data.copy_groups import NearCopies
from firstlight.data.near_audit import NearFindings
from firstlight.design_tokens import SHEET, SHEET_FONT
from firstlight.image_encoding import encoded, pil_image
from firstlight.randomness import generator
from firstlight.text import cut
from firstlight.types import Array, Dataset, Images

_COLUMNS = 10
_CELL = 72  # the longer side of an image on the sheet, in pixels, as near as whole enlargements come
_GAP = 6
_APART = 14  # between groups of pictures, beside the gap
_MARGIN = 20
_HEAD = 66  # the height of the title and the line of facts
_HEADS = 12  # the height of what stands above the columns, if anything does
_ROW = 44  # the least height of a row: a class name and its count
_LETTER = 9  # the width of a wide letter of a class name
_PAIRS = 4  # of near copies in a row
_PAIR = 250  # the least width of a pair, for what is said of it


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
    height, width = _cell_size(images.shape[0], images.shape[1])
    names = [shortened(name) for name in images.class_names]
    left = _MARGIN + _LETTER * max(9, *map(len, names)) + _GAP
    step = max(height, _ROW) + _GAP
    tops = [_MARGIN + _HEAD + (_HEADS if heads else 0) + k * step for k in range(len(names))]
    places = [_places(left, [len(group) for group in groups], width + _GAP) for groups in rows]

    texts = [svg_text(_MARGIN, _MARGIN + 20, title, 22), svg_text(_MARGIN, _MARGIN + 44, facts, 13, SHEET["muted"])]
    for name, count, top in zip(names, images.counts, tops, strict=True):
        middle = top + step // 2
        texts += [
            svg_text(_MARGIN, middle - 4, name, 16),
            svg_text(_MARGIN, middle + 14, f"n = {count:,}", 13, SHEET["muted"]),
        ]
    longest = places[int(np.argmax([len(row) for row in places]))]
    texts += [
        svg_text(place, tops[0] - _GAP, head, 12, SHEET["muted"]) for head, place in zip(heads, longest, strict=False)
    ]
    least = left + _COLUMNS * (width + _GAP)
    right = max([least, *(place + width + _GAP for row in places for place in row)]) - _GAP
    paper = _draw(texts, right + _MARGIN, tops[-1] + step - _GAP + _MARGIN)

    for groups, row, top in zip(rows, places, tops, strict=True):
        pictures = (picture for group in groups for picture in group)
        for picture, place in zip(pictures, row, strict=True):
            paper.paste(_scaled(picture, height, width), (place, top))
    return encoded(paper)


def copies_sheet(name: str, found: NearFindings, near: NearCopies) -> bytes:
    """Return a PNG: the first pairs of near copies, each with its classes, what was altered, and the ids.

    Pairs with different labels come first, then those in different splits.
    """
    pairs = found.pairs[: _PAIRS * 12]
    pictures = [[near.pixels(near.places[sample]) for _, sample, _ in pair.samples] for pair in pairs]
    height, width = _cell_size(*pictures[0][0].shape[:2])
    step, row = max(2 * width + _GAP, _PAIR) + _APART, height + 74
    facts = f"{found.count:,} pairs, {found.conflicting:,} images with another label, {found.leaked:,} across splits"
    texts = [
        svg_text(_MARGIN, _MARGIN + 20, f"{shortened(name)} · near copies", 22),
        svg_text(_MARGIN, _MARGIN + 44, facts, 13, SHEET["muted"]),
    ]
    places = [(_MARGIN + k % _PAIRS * step, _MARGIN + _HEAD + k // _PAIRS * row) for k in range(len(pairs))]
    for pair, (left, top) in zip(pairs, places, strict=True):
        (split, sample, label), (other_split, other, other_label) = pair.samples
        lines = (
            label if label == other_label else f"{label} / {other_label}",
            f"{pair.similarity:.3f} {pair.alteration}",
            f"{split}: {sample}",
            f"{other_split}: {other}",
        )
        texts += [
            svg_text(left, top + height + 14 + 14 * k, cut(line, step - _APART, 11), 11, SHEET["muted" if k else "ink"])
            for k, line in enumerate(lines)
        ]
    paper = _draw(texts, _MARGIN + min(_PAIRS, len(pairs)) * step + _MARGIN, places[-1][1] + row + _MARGIN)
    for both, (left, top) in zip(pictures, places, strict=True):
        for k, picture in enumerate(both):
            paper.paste(_scaled(picture, height, width), (left + k * (width + _GAP), top))
    return encoded(paper)


def _places(left: int, sizes: Sequence[int], step: int) -> list[int]:
    """Where each picture of a row begins."""
    places: list[int] = []
    for size in sizes:
        places += [left + k * step for k in range(size)]
        left += size * step + _APART
    return places


def _cell_size(height: int, width: int) -> tuple[int, int]:
    """The (height, width) of an image on the sheet."""
    longer = max(height, width)
    factor = max(1, round(_CELL / longer)) if longer <= 2 * _CELL else 2 * _CELL / longer
    return max(1, round(height * factor)), max(1, round(width * factor))


def _scaled(pixels: Array, height: int, width: int) -> Image.Image:
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


def _draw(texts: list[str], width: int, height: int) -> Image.Image:
    """White paper with SVG texts: unlike Pillow, vl-convert brings fonts beyond ASCII and uses the machine's."""
    import vl_convert

    paper = f'<rect width="{width}" height="{height}" fill="{SHEET["paper"]}"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
    png = vl_convert.svg_to_png(head + paper + "".join(texts) + "</svg>", scale=1)
    return Image.open(BytesIO(png)).convert("RGB")
