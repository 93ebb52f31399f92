"""How large the parts of a picture are, and which stand in each column."""

from __future__ import annotations

from collections.abc import Sequence

from firstlight.diagram.structure import Block, Item, Join, Repeat

WIDE, NARROW = 300.0, 199.0  # a block, and one that stands beside others
LOW, HIGH = 26.0, 44.0  # a block of one line, and of two
GAP = 18.0  # between blocks, for the arrow
HEADER, PAD = 26.0, 12.0  # of a frame
FORK = 16.0  # where a path divides, and where it meets again
NODE = 24.0  # what joins branches
LANE = 34.0  # a branch without layers
STACK = 4.0  # by which the frame of a repetition stands out behind itself
GUTTER = 36.0  # between columns
COLUMN = 520.0  # a net that is no higher needs no second column


def block_height(block: Block) -> float:
    return HIGH if block.details or block.layer.parameters else LOW


def size(items: Sequence[Item], width: float) -> tuple[float, float]:
    """The width and the height of items one below the other, whose blocks have that width."""
    widest = height = 0.0
    for n, item in enumerate(items):
        match item:
            case Block():
                w, h = width, block_height(item)
            case Join():
                w, h = join_size(item, width)
            case Repeat():
                inner, h = size(item.items, width)
                w, h = inner + 2 * PAD + 2 * STACK, h + HEADER + PAD + 2 * STACK
        widest = max(widest, w)
        height += h + (GAP if n and not clings(items[n - 1], item) else 0)
    return widest, height


def join_size(join: Join, width: float) -> tuple[float, float]:
    sizes = [branch_size(branch, inner_width(join, width)) for branch in join.branches]
    row = sum(w for w, _ in sizes) + PAD * (len(sizes) - 1)
    return max(row + 2 * PAD, NARROW), HEADER + 2 + FORK + max(h for _, h in sizes) + FORK + NODE + PAD


def branch_size(branch: Sequence[Item], width: float) -> tuple[float, float]:
    return size(branch, width) if branch else (LANE, 0.0)


def inner_width(join: Join, width: float) -> float:
    """Of the blocks in its branches: those of several branches are narrow."""
    filled = sum(bool(branch) for branch in join.branches)
    return width - 2 * PAD - LANE if filled < 2 and width == WIDE else min(width, NARROW)


def clings(before: Item, item: Item) -> bool:
    """Whether a layer is drawn at the one before it: where it keeps the shape and has no kernel."""
    if not isinstance(item, Block) or not isinstance(before, Block):
        return False
    same = all(a.output_shape == b.output_shape for a, b in zip(before.layers, item.layers, strict=False))
    return same and all(len(shape) < 2 for shape in item.layer.shapes.values())


def runs_of(items: Sequence[Item]) -> list[list[Item]]:
    """Items that no column divides: each with what clings to it."""
    runs: list[list[Item]] = []
    for item in items:
        if runs and clings(runs[-1][-1], item):
            runs[-1].append(item)
        else:
            runs.append([item])
    return runs


def columns_of(sizes: Sequence[tuple[float, float]], room: float) -> list[range]:
    """Which runs stand in each column: as many columns as the height asks for and the room has, none higher than need.

    sizes  of the runs
    """
    heights = [height + GAP for _, height in sizes]
    total = LOW + sum(heights)
    for limit in (total * share / 64 for share in range(1, 64)):
        columns = _filled(heights, limit)
        width = sum(max(sizes[n][0] for n in column) + GUTTER for column in columns) - GUTTER
        highest = max(LOW * (n == 0) + sum(heights[i] for i in column) for n, column in enumerate(columns))
        if highest <= limit and width <= room and len(columns) <= 1 + total // COLUMN:
            return columns
    return [range(len(sizes))]


def _filled(heights: Sequence[float], limit: float) -> list[range]:
    """Columns that are filled one after the other up to a limit, each with one run at least."""
    columns, start, height = list[range](), 0, LOW
    for n, own in enumerate(heights):
        if height + own > limit and n > start:
            columns.append(range(start, n))
            start, height = n, 0.0
        height += own
    return [*columns, range(start, len(heights))]
