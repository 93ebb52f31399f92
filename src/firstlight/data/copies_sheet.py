"""Near copies pair by pair as a contact sheet: the pictures, their classes, what was altered, and the ids."""

from __future__ import annotations

from firstlight.data.contact_sheet import APART, GAP, HEAD, MARGIN, cell_size, draw, scaled, shortened, svg_text
from firstlight.data.copy_groups import NearCopies
from firstlight.data.near_audit import NearFindings
from firstlight.design_tokens import SHEET
from firstlight.image_encoding import encoded
from firstlight.text import cut

_PAIRS = 4  # in a row
_ROWS = 12
_PAIR = 250  # the least width of a pair, for what is said of it


def copies_sheet(name: str, found: NearFindings, near: NearCopies) -> bytes:
    """Return a PNG: the first pairs of near copies, each with its classes, what was altered, and the ids.

    Pairs with different labels come first, then those in different splits.
    """
    pairs = found.pairs[: _PAIRS * _ROWS]
    pictures = [[near.pixels(near.places[sample]) for _, sample, _ in pair.samples] for pair in pairs]
    height, width = cell_size(*pictures[0][0].shape[:2])
    step, row = max(2 * width + GAP, _PAIR) + APART, height + 74
    facts = f"{found.count:,} pairs, {found.conflicting:,} images with another label, {found.leaked:,} across splits"
    texts = [
        svg_text(MARGIN, MARGIN + 20, f"{shortened(name)} · near copies", 22),
        svg_text(MARGIN, MARGIN + 44, facts, 13, SHEET["muted"]),
    ]
    places = [(MARGIN + k % _PAIRS * step, MARGIN + HEAD + k // _PAIRS * row) for k in range(len(pairs))]
    for pair, (left, top) in zip(pairs, places, strict=True):
        (split, sample, label), (other_split, other, other_label) = pair.samples
        lines = (
            label if label == other_label else f"{label} / {other_label}",
            f"{pair.similarity:.3f} {pair.alteration}",
            f"{split}: {sample}",
            f"{other_split}: {other}",
        )
        texts += [
            svg_text(left, top + height + 14 + 14 * k, cut(line, step - APART, 11), 11, SHEET["muted" if k else "ink"])
            for k, line in enumerate(lines)
        ]
    paper = draw(texts, MARGIN + min(_PAIRS, len(pairs)) * step + MARGIN, places[-1][1] + row + MARGIN)
    for both, (left, top) in zip(pictures, places, strict=True):
        for k, picture in enumerate(both):
            paper.paste(scaled(picture, height, width), (left + k * (width + GAP), top))
    return encoded(paper)
