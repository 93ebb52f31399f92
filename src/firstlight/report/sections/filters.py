"""Filters: the learnt weights of the first layer as images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from firstlight.records.explanation import Explanation, Filters
from firstlight.records.group import Group
from firstlight.report.document import Block, ImageGrid, Picture, Section
from firstlight.report.explanation import explained
from firstlight.report.render.colours import signed

FILTERS = 32
COLUMNS = 16


def numbers(group: Group) -> Filters | None:
    """The filters of an explained run; None where they are not images."""
    found = explained([group])
    return found[1].filters if found else None


def section(groups: Sequence[Group]) -> Section | None:
    found = numbers(groups[0]) if len(groups) == 1 else None
    made = blocks(found)
    return Section("Filters of the first layer", "filters", made) if made else None


def card(explanation: Explanation, class_names: Sequence[str]) -> tuple[Block, ...]:
    """What a card shows of an explanation without its run."""
    return blocks(explanation.filters)


def blocks(found: Filters | None) -> tuple[Block, ...]:
    """The first layer's filters: in colour where the images are, otherwise a picture a channel."""
    if found is None or not found.weights.size:
        return ()
    weights = found.weights
    extent = float(np.abs(weights).max())
    if weights.shape[1] == 3:
        grey = 127.5 + 127.5 * weights / (extent or 1)
        drawn = list(grey.transpose(0, 2, 3, 1).round().clip(0, 255).astype(np.uint8))
        names = [f"{k}" for k in range(len(drawn))]
        read = "Mid-grey is a weight of 0; a colour means that the filter responds to it"
    else:
        drawn = list(signed(weights.reshape(-1, *weights.shape[2:]), extent))
        names = [f"{k}" for k in range(len(weights))]
        if weights.shape[1] > 1:
            names = [f"{name}, channel {c}" for name in names for c in range(weights.shape[1])]
        read = "Orange weights are above 0, blue ones below, and nearly white is 0"
    pictures = tuple(Picture(pixels, name) for pixels, name in list(zip(drawn, names, strict=True))[:FILTERS])
    which = "" if len(pictures) == len(drawn) else f", the first {len(pictures)}"
    caption = (
        f"The filters of {found.layer}{which}, all on one scale. {read}. Look for edges, bars and spots: filters that "
        "stay noise have learned little, or had little to learn from."
    )
    return (ImageGrid(pictures, columns=COLUMNS, caption=caption),)


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd filters, by what is odd."""
    draw = np.random.default_rng(0)
    shapes = {"colour": (40, 3, 3, 3), "grey": (2, 1, 5, 5), "two channels": (2, 2, 1, 3)}
    made = {name: Filters("conv1", draw.normal(size=size).astype(np.float32)) for name, size in shapes.items()}
    return {name: blocks(found) for name, found in {**made, "zeros": Filters("<b>", np.zeros((1, 3, 2, 2)))}.items()}
