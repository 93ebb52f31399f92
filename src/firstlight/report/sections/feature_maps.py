"""What the layers of a net see: their feature maps of one image, the first layer's filters, and how active they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from firstlight.records.explanation import SATURATED, Explanation, Filters, LayerMaps, LayerStatistics
from firstlight.report.document import Block, Heading, ImageGrid, Picture, Table, Text
from firstlight.report.format import UNDEFINED, channels_last, count, counted, listed, percent, shape
from firstlight.report.render.colours import amounts, signed
from firstlight.types import Array

LAYERS = 16  # whose maps are shown
MAPS = 16  # of a layer
ROWS = 40  # layers in the table
FILTERS = 32
FEATURES = 32  # cells in a row, of a layer that has no maps
MANY = 0.02  # dead units that are worth a sentence, as a share of the layer
STUCK = 0.5  # saturated values that are, of an activation that is flat at both ends
ONE_SIDED = ("ReLU", "LeakyReLU", "ELU", "SELU", "GELU", "Softmax")  # flat for half of what may come: that is their use

T = TypeVar("T")


def maps(explanation: Explanation, shown: Picture | None) -> list[Block]:
    """The feature maps layer by layer, after the image that they are of, where its pixels are at hand."""
    if not explanation.feature_maps:
        return []
    blocks: list[Block] = [Heading("One image, layer by layer"), Text(_READ_MAPS)]
    if shown:
        blocks.append(ImageGrid((shown,), columns=5, caption=f"The image: {explanation.image}."))
    dead = {layer.layer: layer.dead for layer in explanation.activity}
    flat: list[Picture] = []
    for layer in evenly(explanation.feature_maps, LAYERS):
        if layer.has_maps:
            blocks.append(_grid(layer, dead.get(layer.layer, ())))
        else:
            flat.append(_features(layer))
    if flat:
        blocks.append(ImageGrid(tuple(flat), columns=5, caption=_READ_FEATURES))
    left = len(explanation.feature_maps) - LAYERS
    if left > 0:
        blocks.append(Text(f"{counted(left, 'layer')} between these are left out.", tone="note"))
    return blocks


_READ_MAPS = (
    "Each small picture is one channel of a layer, for the same image. Look for maps that keep edges, then parts, then "
    "hardly anything of the image: that is the way from pixels to a class. Maps that are all alike say the same thing "
    "twice; maps without any pattern say nothing. Each layer has one scale for all its maps, so that a quiet channel "
    "looks quiet: from dark violet, 0, to yellow, or, where values have a sign, orange above 0, blue below, and nearly "
    "white at 0. Channels are numbered from 0."
)
_READ_FEATURES = "Layers without maps: a cell a feature, from left to right and top to bottom."


def _grid(layer: LayerMaps, dead: Sequence[int]) -> ImageGrid:
    """The maps of a layer, all on its one scale."""
    coloured = _coloured(layer.maps)
    pictures = tuple(
        Picture(coloured[k], f"{k}", "dead" if k in dead else "") for k in range(min(MAPS, len(layer.maps)))
    )
    low, high = (number(float(end)) for end in (layer.maps.min(), layer.maps.max()))
    size = shape(list(layer.maps.shape[1:]))
    which = "" if len(pictures) == layer.units else f"the first {len(pictures)} of "
    return ImageGrid(
        pictures,
        columns=MAPS,
        caption=f"{layer.layer} ({layer.type}): {which}{counted(layer.units, 'map')} of {size}, from {low} to {high}.",
    )


def _features(layer: LayerMaps) -> Picture:
    """The features of a layer in rows, as even as they come."""
    values = layer.maps.reshape(-1)
    rows = -(-len(values) // FEATURES)
    columns = -(-len(values) // rows)
    cells = np.zeros((rows, columns), np.float32)
    cells.flat[: len(values)] = values
    low, high = (number(float(end)) for end in (values.min(), values.max()))
    detail = f"{layer.type}, {counted(len(values), 'feature')}, {low} to {high}"
    return Picture(_coloured(cells), layer.layer, detail)


def _coloured(values: Array) -> Array:
    """Values as colours on one scale, which ends where a thousandth of them lies beyond."""
    known = np.abs(values[np.isfinite(values)])
    most = float(np.quantile(known, 0.999)) if known.size else 0.0
    return signed(values, most) if known.size and np.nanmin(values) < 0 else amounts(values, most)


def filters(found: Filters | None) -> list[Block]:
    """The first layer's filters: in colour where the images are, otherwise a picture a channel."""
    if found is None or not found.weights.size:
        return []
    weights = found.weights
    extent = float(np.abs(weights).max())
    if weights.shape[1] == 3:
        grey = 127.5 + 127.5 * weights / (extent or 1)
        drawn = list(grey.transpose(0, 2, 3, 1).round().clip(0, 255).astype(np.uint8))
        names = [f"{k}" for k in range(len(drawn))]
        read = "Middle grey is a weight of 0; a colour, that the filter looks for it"
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
        "stay noise have learnt little, or have been given little to learn."
    )
    return [Heading("What the first layer looks for"), ImageGrid(pictures, columns=MAPS, caption=caption)]


def table(explanation: Explanation) -> list[Block]:
    """How active each layer is, with what is unusual in the caption."""
    layers = explanation.activity
    if not layers:
        return []
    rows = tuple(_row(layer) for layer in evenly(layers, ROWS))
    left = f" {counted(len(layers) - ROWS, 'layer')} between these are left out." if len(layers) > ROWS else ""
    caption = (
        f"{unusual(layers)} Over {counted(explanation.looked, 'test image')}. A dead unit gives the same value for all "
        "of them, so nothing can be read off it. Saturated is the share of values where an activation is so flat that "
        "it hardly passes a gradient on; of a ReLU, half or more is as it should be. A saturated unit is so for at "
        f"least {percent(SATURATED, 0)} of its values; a ReLU that never answers is among them.{left}"
    )
    moments = ("mean", "s.d.", "least", "greatest", "zero")
    titles = ("layer", "type", "output shape", *moments, "dead units", "saturated", "saturated units")
    return [
        Heading("How active the layers are"),
        Table(titles=titles, rows=rows, right=frozenset(range(3, 11)), caption=caption),
    ]


def _row(layer: LayerStatistics) -> tuple[str, ...]:
    return (
        layer.layer,
        layer.type,
        shape(channels_last(layer.shape)),
        *(number(value) for value in (layer.mean, layer.std, layer.low, layer.high)),
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
    stuck = [layer for layer in layers if layer.type not in ONE_SIDED and (layer.saturated or 0) > STUCK]
    if stuck:
        parts = [f"{layer.layer} ({percent(layer.saturated, 0)})" for layer in stuck[:3]]
        said.append(f"Saturated for most of their values: {listed(parts)}. Little gradient comes through.")
    inner = [layer for layer in layers if layer.type != "Softmax" and layer.std > 0]
    if len(inner) > 1:
        least, most = min(inner, key=lambda x: x.std), max(inner, key=lambda x: x.std)
        if most.std > 100 * least.std:
            said.append(
                f"The values spread {most.std / least.std:,.0f} times as far in {most.layer} as in {least.layer}."
            )
    return " ".join(said) or "Nothing is unusual here: hardly a unit is dead, and no layer is stuck."


def _dead(layer: LayerStatistics) -> float:
    return len(layer.dead) / layer.units


def number(value: float) -> str:
    """A value of a layer, to three digits."""
    return f"{value:.3g}".replace("-", "−")


def evenly(items: Sequence[T], most: int) -> list[T]:
    """At most so many of the items, spread evenly from the first to the last."""
    if len(items) <= most:
        return list(items)
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, most)]
