"""The layers of a model in the order of the data, with their shapes, their parameters and their work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from firstlight.diagram import Repeat, structure
from firstlight.records.group import Group
from firstlight.records.model import LayerRecord
from firstlight.report.document import Block, Diagram, Section, Table
from firstlight.report.format import DASH, count, percent, shape


@dataclass(frozen=True)
class Layers:
    """The layers, and over all of them the parameters and the multiply-adds for one image."""

    model: str
    input_shape: tuple[int, ...]
    layers: Sequence[LayerRecord]
    parameters: int
    trainable: int
    frozen: int
    multiply_adds: int


def numbers(group: Group) -> Layers:
    run = group.first
    counts = run.result.parameters
    return Layers(
        run.model,
        run.run.model.input_shape,
        run.layers,
        counts.total,
        counts.trainable,
        counts.frozen,
        run.multiply_adds,
    )


def caption(found: Layers) -> str:
    """Where the model's parameters and its work lie."""
    text = (
        "Shapes are those of one image. A multiply-add (MAC) is one multiplication with its addition; their numbers "
        "are per image."
    )
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
    """The net as a picture, and a row per layer with the sums."""
    return (*_picture(found), _table(found))


def _picture(found: Layers) -> tuple[Block, ...]:
    """None where the rows do not say what each reads: those of an earlier version, and of a file that was changed."""
    try:
        items = structure(found.layers)
    except ValueError:
        return ()
    if not items:
        return ()
    repeated = any(isinstance(block, Repeat) for block in items)
    text = (
        "From the image downwards, each layer with its output shape for one image and its parameters. "
        "Blue: layers with kernels or weight matrices; green: with a scale and a shift; grey: without parameters."
    )
    more = " What is repeated is drawn once, with its count; “1…3” goes from its first to its last."
    title = f"The layers of {found.model}"
    drawn = Diagram(tuple(found.layers), found.input_shape, title, text + (more if repeated else ""), kind="net")
    return (drawn,)


def _table(found: Layers) -> Table:
    rows: list[tuple[str, ...]] = [
        (layer.name, layer.type, shape(layer.output_shape), _or_dash(layer.parameters), _or_dash(layer.multiply_adds))
        for layer in found.layers
    ]
    rows.append(("Total", "", "", count(found.parameters), count(found.multiply_adds)))
    rows.append(("of which trainable", "", "", count(found.trainable), ""))
    if found.frozen:
        rows.append(("of which frozen", "", "", count(found.frozen), ""))
    rows.append(("of which running statistics", "", "", count(found.parameters - found.trainable - found.frozen), ""))
    return Table(
        titles=("layer", "type", "output shape", "parameters", "multiply-adds"),
        rows=tuple(rows),
        right=frozenset({3, 4}),
        strong=frozenset({len(found.layers)}),
        caption=caption(found),
        kind="layers",
    )


def _or_dash(value: int) -> str:
    return count(value) if value else DASH


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd models, by what is odd."""
    conv, dense = (
        LayerRecord("conv <1>", "Conv2D", (28, 28, 6), 156, 156, 117_600),
        LayerRecord("dense", "Dense", (10,), 0, 0, 0),
    )
    joined = LayerRecord("<b>&", 'A "join"' * 9, (28, 28, 7), 6, 6, 0, ("<b>&.conv", ""), {"gain": (6,)}, {"x": 1e-9})
    inner = replace(conv, name="<b>&.conv", inputs=("",), shapes={"W": (6, 1, 5, 5)})

    def of(*layers: LayerRecord, frozen: int = 0) -> Layers:
        return Layers("a net", (28, 28, 1), layers, sum(one.parameters for one in layers), 100, frozen, 117_600)

    return {
        "no layers": blocks(of()),
        "one layer": blocks(of(replace(dense, inputs=("",)))),
        "frozen, of an earlier version": blocks(of(conv, dense, frozen=50)),
        "joined": blocks(of(inner, joined)),
        "contradictory": blocks(of(replace(dense, inputs=("what is not there",)))),
    }
