"""What a net is made of: blocks one after another, branches that are joined, and what is repeated, once with its count.

The rows of a summary say which rows each reads. A join is the row of a container; its branches are found by going back
from what it reads to where they leave the container.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from firstlight.records.model import LayerRecord
from firstlight.text import listed

FOLDED_FROM = 30  # rows: a net of fewer is drawn whole
LONGEST_PERIOD = 12  # items that are looked at for being repeated together
SILENT = {"bias", "initializer", "l1", "l2", "filters", "units"}  # settings that shapes tell, or that start training
WITH_SHAPE = {"kernel"}  # settings that the shapes of the weights tell


@dataclass(frozen=True)
class Block:
    """A layer; several where it stands for its like in a repetition.

    layers  the row of the layer, or one for each turn
    prefix  the part of the name that what it is drawn in has
    """

    layers: tuple[LayerRecord, ...]
    prefix: str = ""

    @property
    def layer(self) -> LayerRecord:
        return self.layers[0]

    @property
    def label(self) -> str:
        """The name inside what it is drawn in: of a branch's layers the part behind the branch's own name."""
        return span([_inside(layer.name, self.prefix) for layer in self.layers])

    @property
    def shape(self) -> str:
        return _sides([layer.output_shape for layer in self.layers])

    @property
    def parameters(self) -> str:
        return span([f"{layer.parameters:,}" for layer in self.layers])

    @property
    def details(self) -> str:
        """The shapes of the parameters and the settings, as far as there are any."""
        named = self.layer.shapes
        hidden = SILENT | (WITH_SHAPE if named else set())
        settings = [f"{key} {_said(value)}" for key, value in self.layer.settings.items() if key not in hidden]
        alike: dict[str, list[str]] = {}
        for key in named:
            alike.setdefault(_sides([one.shapes[key] for one in self.layers]), []).append(key)
        shapes = [f"{', '.join(keys)} {shape}" for shape, keys in alike.items()]
        frozen = ["frozen"] if self.layer.parameters and self.layer.trainable == 0 and self.layer.multiply_adds else []
        return " · ".join([*shapes, *settings, *frozen])


@dataclass(frozen=True)
class Join:
    """A container: its branches, of which an empty one hands on what the container reads, and what joins them."""

    block: Block
    branches: tuple[tuple[Item, ...], ...]


@dataclass(frozen=True)
class Repeat:
    """Items that come `count` times, one turn after the other; each of their blocks has the rows of all turns."""

    items: tuple[Item, ...]
    count: int

    @property
    def parameters(self) -> int:
        """Of all turns together."""
        return sum(layer.parameters for block in blocks_of(*self.items) for layer in block.layers)


Item = Block | Join | Repeat


def structure(layers: Sequence[LayerRecord], fold: bool = True) -> tuple[Item, ...]:
    """The items of a net; of a deep one, repetitions are folded where `fold`.

    Raises ValueError where the rows do not say what each reads, or contradict themselves.
    """
    rows: dict[str, LayerRecord] = {}
    for row in layers:
        if not row.inputs or row.name in rows or any(source and source not in rows for source in row.inputs):
            raise ValueError(f"{row.name} does not say which layers before it it reads")
        rows[row.name] = row
    if not layers:
        return ()
    items, _ = _Tracing(rows, set()).back(layers[-1].name, "")
    return folded(items) if fold and len(layers) >= FOLDED_FROM else items


@dataclass(frozen=True)
class _Tracing:
    """The rows by name, and the names of those that have their place."""

    rows: Mapping[str, LayerRecord]
    placed: set[str]

    def back(self, end: str, prefix: str) -> tuple[tuple[Item, ...], str]:
        """The items that lead to the row called `end`, inside the container of that prefix, and what they read."""
        items: list[Item] = []
        while end and end.startswith(prefix):
            if end in self.placed:
                raise ValueError(f"{end} is read from two places in one container")
            self.placed.add(end)
            row = self.rows[end]
            block, inside = Block((row,), prefix), f"{end}."
            if len(row.inputs) == 1 and not row.inputs[0].startswith(inside):
                items.append(block)
                (end,) = row.inputs
                continue
            branches, sources = zip(*(self.back(source, inside) for source in row.inputs), strict=True)
            if len(set(sources)) > 1:
                raise ValueError(f"the branches of {row.name} do not begin in one place")
            items.append(Join(block, branches))
            end = sources[0]
        return tuple(reversed(items)), end


def folded(items: Sequence[Item]) -> tuple[Item, ...]:
    """The same with what is repeated at once as one: what saves most, from the first item on.

    A turn that holds a container begins with one, as a block of a residual net does, and ends with what follows it.
    """
    inner = [Join(i.block, tuple(map(folded, i.branches))) if isinstance(i, Join) else i for i in items]
    kinds = [_kind(item) for item in inner]
    made: list[Item] = []
    at = 0
    while at < len(inner):
        count, period = max(
            (
                (_turns(kinds, at, period), period)
                for period in range(1, LONGEST_PERIOD + 1)
                if period == 1 or isinstance(inner[at], Join) or not _has_join(inner[at : at + period])
            ),
            key=lambda found: ((found[0] - 1) * found[1], -found[1]),
        )
        if count > 1:
            turns = [inner[at + turn * period : at + (turn + 1) * period] for turn in range(count)]
            made.append(Repeat(tuple(map(_merged, zip(*turns, strict=True))), count))
            at += count * period
        else:
            made.append(inner[at])
            at += 1
    return tuple(made)


def _has_join(items: Sequence[Item]) -> bool:
    return any(isinstance(item, Join) for item in items)


def _turns(kinds: Sequence[object], at: int, period: int) -> int:
    """How many times the items of one period come, from the place `at` on."""
    first, count = kinds[at : at + period], 1
    while len(first) == period and kinds[at + count * period : at + (count + 1) * period] == first:
        count += 1
    return count


def _kind(item: Item) -> object:
    """What two items must have in common to be turns of a repetition: all but their names and the channels they read.

    Layers with kernels must give the same channels; what only hands them on may see more of them in each turn.
    """
    match item:
        case Block():
            row = item.layer
            kernels = any(len(shape) > 1 for shape in row.shapes.values())
            shape = row.output_shape if kernels or len(row.output_shape) < 3 else row.output_shape[:-1]
            ranks = [(name, len(shape)) for name, shape in row.shapes.items()]
            trained = row.trainable == 0
            return row.type, shape, ranks, trained, sorted((key, repr(value)) for key, value in row.settings.items())
        case Join():
            return _kind(item.block), [[_kind(inner) for inner in branch] for branch in item.branches]
        case Repeat():
            return item.count, [_kind(inner) for inner in item.items]


def _merged(turns: Sequence[Item]) -> Item:
    """The items that stand in one place of each turn, as one with the rows of all."""
    first = turns[0]
    match first:
        case Block():
            return Block(tuple(row for one in turns for row in blocks_of(one)[0].layers), first.prefix)
        case Join():
            block = _merged([one.block for one in turns if isinstance(one, Join)])
            assert isinstance(block, Block)
            branches = zip(*(one.branches for one in turns if isinstance(one, Join)), strict=True)
            return Join(block, tuple(tuple(map(_merged, zip(*branch, strict=True))) for branch in branches))
        case Repeat():
            inner = zip(*(one.items for one in turns if isinstance(one, Repeat)), strict=True)
            return Repeat(tuple(map(_merged, inner)), first.count)


def blocks_of(*items: Item) -> list[Block]:
    """The blocks of items in the order of the data; that of a join follows its branches."""
    return list(_blocks(items))


def _blocks(items: Sequence[Item]) -> Iterator[Block]:
    for item in items:
        match item:
            case Block():
                yield item
            case Join():
                for branch in item.branches:
                    yield from _blocks(branch)
                yield item.block
            case Repeat():
                yield from _blocks(item.items)


def description(items: Sequence[Item]) -> str:
    """The picture in words, for those who do not see it."""
    return "; ".join(map(_in_words, items))


def _in_words(item: Item) -> str:
    match item:
        case Block():
            parameters = f", {item.parameters} parameters" if item.layer.parameters else ""
            return f"{item.label}: {item.layer.type} to {item.shape}{parameters}"
        case Join():
            branches = [f"({description(branch)})" if branch else "its input as it is" for branch in item.branches]
            return f"{item.block.label}: {item.block.layer.type} of {listed(branches)}, to {item.block.shape}"
        case Repeat():
            return f"{item.count} times ({description(item.items)})"


def span(values: Sequence[str]) -> str:
    """What all have, or the first and the last: "conv1…3" of conv1, conv2 and conv3."""
    first, last = values[0], values[-1]
    if len(set(values)) == 1:
        return first
    stem = first.rstrip("0123456789")
    tail = last.removeprefix(stem)
    return f"{first}…{tail}" if stem and tail.isdigit() and last.startswith(stem) else f"{first}…{last}"


def _sides(shapes: Sequence[Sequence[int]]) -> str:
    """A shape, in which a side that differs goes from its first to its last: "56×56×64…224"."""
    return "×".join(span([str(side) for side in sides]) for sides in zip(*shapes, strict=True))


def _inside(name: str, prefix: str) -> str:
    """The part of a layer's name behind the container and the branch in which it is drawn.

    prefix  that of the container in the first turn: of it, how deep it lies is the same in all turns
    """
    parts = name.split(".")[prefix.count(".") :]
    return ".".join(parts[1:] if prefix and len(parts) > 1 else parts)


def _said(value: object) -> str:
    if isinstance(value, list | tuple):
        return "×".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
