"""The feature maps of one image: what every layer gives for it."""

from __future__ import annotations

import numpy as np

from firstlight.explain.net import Net, Place
from firstlight.records.explanation import LayerMaps
from firstlight.types import Array

MOST = 64  # maps of a layer; the others would only be more of the same


def compute_feature_maps(net: Net, pixels: Array, most: int | None = MOST) -> tuple[LayerMaps, ...]:
    """What every layer gives for one image, prepared pixels uint8 (H, W, C): at most so many maps of each, or all."""
    values = net.session.trace(net.prepared(pixels[np.newaxis]), None, net.shown).values
    return tuple(_maps(place, values[path][0], most) for path, place in net.shown.items())


def _maps(place: Place, values: Array, most: int | None) -> LayerMaps:
    maps = values[:most] if place.has_maps else values.reshape(1, 1, -1)  # 1 × 1 is not a map
    return LayerMaps(place.path, place.type, len(values), np.ascontiguousarray(maps, np.float32))
