"""Activation statistics: moments, zeros, dead and saturated units of every layer over the test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firstlight.records.explanation import SATURATED, Explanation, LayerStatistics
from firstlight.records.group import Group
from firstlight.report.document import Block, Section, Table
from firstlight.report.explanation import evenly, explained
from firstlight.report.format import UNDEFINED, channels_last, count, counted, percent, shape, significant
from firstlight.text import listed

ROWS = 40  # layers in the table
MANY = 0.02  # dead units that are worth a sentence, as a share of the layer
STUCK = 0.5  # saturated values that are, of an activation that is flat at both ends


@dataclass(frozen=True)
class Statistics:
    """The layers in the order of the data, and how many test images were looked at."""

    layers: Sequence[LayerStatistics]
    images: int


def numbers(group: Group) -> Statistics | None:
    """The statistics of an explained run."""
    found = explained([group])
    return _statistics(found[1]) if found else None


def _statistics(explanation: Explanation) -> Statistics:
    return Statistics(explanation.activity, explanation.looked)


def section(groups: Sequence[Group]) -> Section | None:
    found = numbers(groups[0]) if len(groups) == 1 else None
    return Section("Activation statistics", "activations", blocks(found)) if found and found.layers else None


def card(explanation: Explanation, class_names: Sequence[str]) -> tuple[Block, ...]:
    """What a card shows of an explanation without its run."""
    return blocks(_statistics(explanation))


def blocks(found: Statistics) -> tuple[Block, ...]:
    """A row per layer."""
    if not found.layers:
        return ()
    moments = ("mean", "s.d.", "minimum", "maximum", "zero")
    titles = ("layer", "type", "output shape", *moments, "dead units", "saturated", "saturated units")
    rows = tuple(_row(layer) for layer in evenly(found.layers, ROWS))
    return (Table(titles=titles, rows=rows, right=frozenset(range(3, 11)), caption=caption(found)),)


def caption(found: Statistics) -> str:
    """What is unusual, and what the columns mean."""
    layers = found.layers
    left = f" {counted(len(layers) - ROWS, 'layer')} between these are left out." if len(layers) > ROWS else ""
    return (
        f"{unusual(layers)} Over {counted(found.images, 'test image')}. A dead unit outputs the same value for all of "
        "them and carries no information. Saturated is the share of values at which the activation function is so flat "
        "that it hardly passes on a gradient; for a ReLU, half or more is normal. A saturated unit is so for at least "
        f"{percent(SATURATED, 0)} of its values; a ReLU that never activates is among them.{left}"
    )


def _row(layer: LayerStatistics) -> tuple[str, ...]:
    return (
        layer.layer,
        layer.type,
        shape(channels_last(layer.shape)),
        *(significant(value) for value in (layer.mean, layer.std, layer.low, layer.high)),
        percent(layer.zero),
        _of(layer.dead, layer),
        UNDEFINED if layer.saturated is None else percent(layer.saturated),
        UNDEFINED if layer.saturated_units is None else _of(layer.saturated_units, layer),
    )


def _of(units: Sequence[int], layer: LayerStatistics) -> str:
    return f"{count(len(units))} of {count(layer.units)}"


def unusual(layers: Sequence[LayerStatistics]) -> str:
    """What is unusual in these layers, in sentences."""
    dying = sorted((layer for layer in layers if len(layer.dead) > MANY * layer.units), key=lambda x: -_dead(x))
    said = [
        f"{count(len(layer.dead))} of {counted(layer.units, 'unit')} of {layer.layer} "
        f"{'is' if len(layer.dead) == 1 else 'are'} dead."
        for layer in dying[:3]
    ]
    if len(dying) > 3:
        said.append(f"So are units of {counted(len(dying) - 3, 'other layer')}.")
    stuck = [layer for layer in layers if layer.may_be_stuck and (layer.saturated or 0) > STUCK]
    if stuck:
        parts = [f"{layer.layer} ({percent(layer.saturated, 0)})" for layer in stuck[:3]]
        said.append(f"Saturated for most of their values: {listed(parts)}. Little gradient passes through.")
    inner = [layer for layer in layers if layer.type != "Softmax" and layer.std > 0]
    if len(inner) > 1:
        least, most = min(inner, key=lambda x: x.std), max(inner, key=lambda x: x.std)
        if most.std > 100 * least.std:
            said.append(
                f"The standard deviation of the values is {most.std / least.std:,.0f} times as large in {most.layer} "
                f"as in {least.layer}."
            )
    return " ".join(said) or "Nothing is unusual here: hardly any unit is dead, and no layer is saturated."


def _dead(layer: LayerStatistics) -> float:
    return len(layer.dead) / layer.units


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd layers, by what is odd."""

    def layer(
        name: str, kind: str = "ReLU", dead: int = 0, std: float = 1.0, flat: float | None = 0.5
    ) -> LayerStatistics:
        return LayerStatistics(name, kind, (32, 5, 5), 0.5, std, 0.0, 3.5, 32, 0.25, tuple(range(dead)), flat)

    odd = {
        "usual": [layer("relu1")],
        "dead": [layer(f"<b>{k}", dead=12) for k in range(6)],
        "saturated": [layer("tanh1", "Tanh", flat=0.9)],
        "no activation": [layer("conv1", "Conv2D", flat=None), layer("dense1", "Dense", std=0.0, flat=None)],
        "many": [layer(f"relu{k}", std=10.0 ** (k % 9)) for k in range(60)],
    }
    return {name: blocks(Statistics(layers, 1000)) for name, layers in odd.items()}
