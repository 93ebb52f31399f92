"""Feature maps: what every layer gives for one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from firstlight.records.explanation import Explanation, LayerMaps
from firstlight.records.group import Group
from firstlight.records.run import RunRecord
from firstlight.report.document import Block, ImageGrid, Picture, Section, Text
from firstlight.report.explanation import answered, evenly, explained, pixels_of_test_images
from firstlight.report.format import counted, shape, significant
from firstlight.report.render.colours import amounts, signed
from firstlight.types import Array

KIND = "feature-maps"
LAYERS = 16  # whose maps are shown
MAPS = 16  # of a layer
FEATURES = 32  # cells in a row, of a layer that has no maps


@dataclass(frozen=True, eq=False)
class ImageMaps:
    """What the layers give for one image.

    layers   in the order of the data
    dead     by layer, its units that give the same for every image
    image    the id of the image, and `picture` itself, where its pixels are at hand
    """

    layers: Sequence[LayerMaps]
    dead: Mapping[str, Sequence[int]] = field(default_factory=dict)
    image: str = ""
    picture: Picture | None = None


def numbers(group: Group) -> ImageMaps | None:
    """The feature maps of an explained run."""
    found = explained([group])
    return None if found is None else of_explanation(found[1], _picture(*found))


def of_explanation(explanation: Explanation, picture: Picture | None = None) -> ImageMaps:
    dead = {layer.layer: layer.dead for layer in explanation.activity}
    return ImageMaps(explanation.feature_maps, dead, explanation.image, picture)


def _picture(record: RunRecord, explanation: Explanation) -> Picture | None:
    shown = next((one for one in explanation.attributions if one.id == explanation.image), None)
    if shown:
        return answered(shown, record.class_names)
    pixels = pixels_of_test_images(record, explanation).get(explanation.image)
    return None if pixels is None else Picture(pixels, explanation.image)


def section(groups: Sequence[Group]) -> Section | None:
    found = numbers(groups[0]) if len(groups) == 1 else None
    return None if found is None or not found.layers else Section("Feature maps of one image", "maps", blocks(found))


def card(explanation: Explanation, class_names: Sequence[str]) -> tuple[Block, ...]:
    """What a card shows of an explanation without its run."""
    return blocks(of_explanation(explanation))


def blocks(found: ImageMaps) -> tuple[Block, ...]:
    """The maps layer by layer, after the image that they are of."""
    if not found.layers:
        return ()
    made: list[Block] = [Text(_HOW)]
    if found.picture:
        made.append(ImageGrid((found.picture,), columns=5, caption=f"The image: {found.image}."))
    flat: list[Picture] = []
    for layer in evenly(found.layers, LAYERS):
        if layer.has_maps:
            made.append(_grid(layer, found.dead.get(layer.layer, ())))
        else:
            flat.append(_features(layer))
    if flat:
        made.append(ImageGrid(tuple(flat), columns=5, caption=_HOW_FEATURES, kind=KIND))
    left = len(found.layers) - LAYERS
    if left > 0:
        made.append(Text(f"{counted(left, 'layer')} between these are left out.", tone="note"))
    return tuple(made)


_HOW = (
    "Each small picture is one channel of a layer, for the same image. Look for maps that show edges, then parts, then "
    "hardly anything of the image: that is the way from pixels to a class. Maps that look alike are redundant; maps "
    "without any pattern carry no information. Each layer has one scale for all its maps, so that a weakly active "
    "channel looks weak: from dark violet, 0, to yellow, or, where values have a sign, orange above 0, blue below, and "
    "nearly white at 0. Channels are numbered from 0."
)
_HOW_FEATURES = "Layers without maps: one cell per feature, from left to right and top to bottom."


def _grid(layer: LayerMaps, dead: Sequence[int]) -> ImageGrid:
    """The maps of a layer, all on its one scale."""
    coloured = _coloured(layer.maps)
    pictures = tuple(
        Picture(coloured[k], f"{k}", "dead" if k in dead else "") for k in range(min(MAPS, len(layer.maps)))
    )
    low, high = (significant(float(end)) for end in (layer.maps.min(), layer.maps.max()))
    size = shape(list(layer.maps.shape[1:]))
    which = "" if len(pictures) == layer.units else f"the first {len(pictures)} of "
    return ImageGrid(
        pictures,
        columns=MAPS,
        caption=f"{layer.layer} ({layer.type}): {which}{counted(layer.units, 'map')} of {size}, from {low} to {high}.",
        kind=KIND,
    )


def _features(layer: LayerMaps) -> Picture:
    """The features of a layer in rows, as even as they come."""
    values = layer.maps.reshape(-1)
    rows = -(-len(values) // FEATURES)
    columns = -(-len(values) // rows)
    cells = np.zeros((rows, columns), np.float32)
    cells.flat[: len(values)] = values
    low, high = (significant(float(end)) for end in (values.min(), values.max()))
    detail = f"{layer.type}, {counted(len(values), 'feature')}, {low} to {high}"
    return Picture(_coloured(cells), layer.layer, detail)


def _coloured(values: Array) -> Array:
    """Values as colours on one scale, which ends where a thousandth of them lies beyond."""
    known = np.abs(values[np.isfinite(values)])
    most = float(np.quantile(known, 0.999)) if known.size else 0.0
    return signed(values, most) if known.size and np.nanmin(values) < 0 else amounts(values, most)


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd maps, by what is odd."""
    draw = np.random.default_rng(0)
    maps = LayerMaps("conv1", "Conv2D", 4, draw.normal(size=(4, 6, 5)).astype(np.float32))
    features = LayerMaps("dense1", "Dense", 40, draw.random((1, 1, 40), np.float32))
    broken = np.full((2, 3, 3), np.nan, np.float32)
    image = Picture(np.zeros((6, 5, 3), np.uint8), "cat", "90 %", True)
    return {
        "maps and features": blocks(ImageMaps((maps, features), {"conv1": (1,)}, "test/1", image)),
        "zeros": blocks(ImageMaps((LayerMaps("relu1", "ReLU", 2, np.zeros((2, 3, 3), np.float32)),))),
        "many layers": blocks(ImageMaps(tuple(LayerMaps(f"<b>{k}", "ReLU", 90, maps.maps) for k in range(30)))),
        "without pattern": blocks(ImageMaps((LayerMaps("relu1", "ReLU", 2, np.nan_to_num(broken)),))),
    }
