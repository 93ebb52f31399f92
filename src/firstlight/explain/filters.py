"""The learnt filters of the first layer with weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from firstlight.explain.net import Net, Place
from firstlight.layers import BatchNorm, Conv2D, Dense
from firstlight.records.explanation import Filters

MOST = 64


def first_filters(net: Net) -> Filters | None:
    """The filters, at most 64, of the first layer with kernels; None where they are not pictures.

    A dense layer that reads the pixels, or what pooling made of them, has its rows shown as images.
    """
    place = next(_weighted(net), None)
    if place is None:
        return None
    tree = net.task.model.layout.tree(net.session.vector())
    for name in place.path.split("."):
        tree = tree[name]
    weights = np.asarray(tree["W"], np.float32)[:MOST]
    if isinstance(place.layer, Dense):
        shape = _image_shape(net, place)
        if shape is None:
            return None
        weights = weights.reshape(len(weights), *shape)
    return Filters(place.path, np.array(weights))


def _weighted(net: Net) -> Iterator[Place]:
    return (place for place in net.shown.values() if isinstance(place.layer, Conv2D | Dense))


def _image_shape(net: Net, place: Place) -> tuple[int, ...] | None:
    """The (C, H, W) that a dense layer's inputs were before they became a vector."""
    path = place.source
    while path and isinstance(net.places[path].layer, BatchNorm):
        path = net.places[path].source
    path = net.origin(path)
    shape = net.places[path].shape if path else net.task.model.channels_first
    return shape if len(shape) == 3 else None
