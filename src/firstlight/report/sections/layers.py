"""The layers of a model in the order of the data, with their shapes, their parameters and their work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firstlight.records.group import Group
from firstlight.records.model import LayerRecord
from firstlight.report.document import Block, Section, Table
from firstlight.report.format import DASH, count, percent, shape


@dataclass(frozen=True)
class Layers:
    """The layers, and over all of them the parameters and the multiply-adds for one image."""

    layers: Sequence[LayerRecord]
    parameters: int
    trainable: int
    frozen: int
    multiply_adds: int


def numbers(group: Group) -> Layers:
    run = group.first
    counts = run.result.parameters
    return Layers(run.layers, counts.total, counts.trainable, counts.frozen, run.multiply_adds)


def caption(found: Layers) -> str:
    """Where the model's parameters and its work lie."""
    text = "Shapes are those of one image. A multiply-add is one multiplication with its addition, for one image."
    if len(found.layers) < 2 or not found.parameters or not found.multiply_adds:
        return text
    heavy = max(found.layers, key=lambda layer: layer.parameters)
    busy = max(found.layers, key=lambda layer: layer.multiply_adds)
    joint = " and" if busy is heavy else f"; {busy.name}"
    return (
        f"{heavy.name} holds {percent(heavy.parameters / found.parameters, 0)} of the parameters{joint} does "
        f"{percent(busy.multiply_adds / found.multiply_adds, 0)} of the work. {text}"
    )


def section(groups: Sequence[Group]) -> Section | None:
    """The model of a single group."""
    if len(groups) != 1 or not groups[0].runs:
        return None
    return Section("The model", "model", blocks(numbers(groups[0])))


def blocks(found: Layers) -> tuple[Block, ...]:
    """A row a layer, and the sums."""
    rows: list[tuple[str, ...]] = [
        (layer.name, layer.type, shape(layer.output_shape), _or_dash(layer.parameters), _or_dash(layer.multiply_adds))
        for layer in found.layers
    ]
    rows.append(("Total", "", "", count(found.parameters), count(found.multiply_adds)))
    rows.append(("of which trainable", "", "", count(found.trainable), ""))
    if found.frozen:
        rows.append(("of which frozen", "", "", count(found.frozen), ""))
    rows.append(("of which running statistics", "", "", count(found.parameters - found.trainable - found.frozen), ""))
    table = Table(
        titles=("layer", "type", "output shape", "parameters", "multiply-adds"),
        rows=tuple(rows),
        right=frozenset({3, 4}),
        strong=frozenset({len(found.layers)}),
        caption=caption(found),
        kind="layers",
    )
    return (table,)


def _or_dash(value: int) -> str:
    return count(value) if value else DASH


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd models, by what is odd."""
    conv, dense = (
        LayerRecord("conv <1>", "Conv2D", (28, 28, 6), 156, 156, 117_600),
        LayerRecord("dense", "Dense", (10,), 0, 0, 0),
    )
    return {
        "no layers": blocks(Layers((), 0, 0, 0, 0)),
        "one layer": blocks(Layers((dense,), 0, 0, 0, 0)),
        "frozen": blocks(Layers((conv, dense), 156, 100, 50, 117_600)),
    }
