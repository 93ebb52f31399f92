"""What every layer gives: statistics over many images, the feature maps of one, and the first layer's filters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from firstlight import kernels
from firstlight.errors import RunError
from firstlight.explain.net import Net, Place
from firstlight.layers import Activation, BatchNorm, Conv2D, Dense, Layer, Pass, Softmax
from firstlight.records.explanation import SATURATED, Filters, LayerMaps, LayerStatistics
from firstlight.types import Array

MOST_MAPS = 64  # of a layer; the others would only be more of the same
SAME = 1e-6  # relatively: sums of the same numbers round otherwise in chunks of another size
FLAT = 0.01  # of the steepest slope: what is flatter counts as saturated

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class ActivationStatistics:
    """What the layers gave over the images that were looked at.

    layers  in the order of the data
    peaks   by path, the greatest value of each unit for any image, (units,): of a channel its mean over the positions
    """

    layers: tuple[LayerStatistics, ...]
    peaks: Mapping[str, Array]

    def peak(self, path: str, unit: int) -> float:
        """The greatest value of one unit."""
        return float(self.peaks[path][unit])


def activation_statistics(net: Net, pixels: Array, progress: Progress | None = None) -> ActivationStatistics:
    """The statistics of every layer over prepared pixels uint8 (N, H, W, C), a chunk of images at a time.

    Raises RunError where a layer gives what is not finite.
    """
    gathered = {path: _Gathered(place) for path, place in net.shown.items()}
    bends = {path: _Bend(place.layer) for path, place in net.shown.items() if isinstance(place.layer, Activation)}
    wanted = {*gathered, *(net.origin(net.shown[path].source) for path in bends)} - {""}
    for start in range(0, len(pixels), net.chunk):
        x = net.prepared(pixels[start : start + net.chunk])
        values = {"": x, **net.session.trace(x, None, wanted).values}
        for path, gather in gathered.items():
            gather.add(values[path])
            if path in bends:
                source = values[net.origin(net.shown[path].source)]
                gather.flat += bends[path].flat(source.reshape(values[path].shape))
        if progress:
            progress(start + len(x), len(pixels))
    layers = tuple(gather.result(path in bends) for path, gather in gathered.items())
    return ActivationStatistics(layers, {path: gather.peak for path, gather in gathered.items()})


@dataclass(eq=False)
class _Gathered:
    """The statistics of one layer so far."""

    place: Place
    images: int = 0
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0  # Σ (value − mean)²
    zeros: int = 0
    flat: Array = field(init=False)  # of each unit, how many values are saturated
    low: Array = field(init=False)  # of each unit
    high: Array = field(init=False)
    peak: Array = field(init=False)

    def __post_init__(self) -> None:
        units = self.place.shape[0]
        self.flat, self.low = np.zeros(units, np.int64), np.full(units, np.inf)
        self.high, self.peak = np.full(units, -np.inf), np.full(units, -np.inf)

    def add(self, values: Array) -> None:
        """Count values (N, units, …) in: the moments of two parts are merged as by Chan, Golub & LeVeque (1979)."""
        flat = values.reshape(len(values), len(self.low), -1)
        mean = float(flat.mean(dtype=np.float64))
        if not np.isfinite(mean):
            raise RunError(f"The layer {self.place.path} gives values that are not finite: the net has diverged.")
        apart, total = mean - self.mean, self.count + flat.size
        self.squares += float(np.square(flat - mean, dtype=np.float64).sum())
        self.squares += apart**2 * self.count * flat.size / total
        self.mean += apart * flat.size / total
        self.count, self.images = total, self.images + len(flat)
        self.zeros += int(np.count_nonzero(flat == 0))
        self.low = np.minimum(self.low, flat.min(axis=(0, 2)))
        self.high = np.maximum(self.high, flat.max(axis=(0, 2)))
        self.peak = np.maximum(self.peak, flat.mean(axis=2, dtype=np.float64).max(axis=0))

    def result(self, bends: bool) -> LayerStatistics:
        same = self.high - self.low <= SAME * np.maximum(np.abs(self.low), np.abs(self.high))
        dead = np.flatnonzero(same) if self.images > 1 else ()  # one image cannot tell
        stuck = self.flat >= SATURATED * (self.count / len(self.flat))
        return LayerStatistics(
            layer=self.place.path,
            type=self.place.type,
            shape=self.place.shape,
            mean=self.mean,
            std=float(np.sqrt(self.squares / self.count)),
            low=float(self.low.min()),
            high=float(self.high.max()),
            units=len(self.low),
            zero=self.zeros / self.count,
            dead=tuple(map(int, dead)),
            saturated=float(self.flat.sum()) / self.count if bends else None,
            saturated_units=tuple(map(int, np.flatnonzero(stuck))) if bends else None,
        )


class _Bend:
    """An activation's own slope, dy/dx of each value by itself, and where it is flat.

    The rule: saturated is what passes on less than a hundredth of the steepest slope that the activation has anywhere,
    up or down: a sigmoid beyond ±6, tanh beyond ±3, a ReLU below 0. A softmax has the slope y (1 − y) and no more than
    1/4.
    """

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.run = Pass(kernels.load("reference"))
        self.steepest = float(np.abs(self.slope(np.linspace(-8, 8, 1601)[None])).max())

    def slope(self, x: Array) -> Array:
        """For inputs (N, units, …)."""
        if isinstance(self.layer, Softmax):
            y = np.exp(x - x.max(axis=1, keepdims=True))
            y /= y.sum(axis=1, keepdims=True)
            return y * (1 - y)
        _, backward = self.layer.forward({}, x, self.run)
        dx, _ = backward(np.ones_like(x))
        assert dx is not None, "needs_dx is set"
        return dx

    def flat(self, x: Array) -> Array:
        """How many of the inputs (N, units, …) it is flat at, of each unit, int64 (units,)."""
        steepest = 0.25 if isinstance(self.layer, Softmax) else self.steepest
        flat = np.abs(self.slope(x)) < FLAT * steepest * (1 - 1e-6)  # LeakyReLU's 0.01 is not below
        return np.count_nonzero(flat, axis=(0, *range(2, flat.ndim)))


def compute_feature_maps(net: Net, pixels: Array, most: int | None = MOST_MAPS) -> tuple[LayerMaps, ...]:
    """What every layer gives for one image, prepared pixels uint8 (H, W, C): at most so many maps of each, or all."""
    values = net.session.trace(net.prepared(pixels[np.newaxis]), None, net.shown).values
    return tuple(_maps(place, values[path][0], most) for path, place in net.shown.items())


def _maps(place: Place, values: Array, most: int | None) -> LayerMaps:
    maps = values[:most] if place.has_maps else values.reshape(1, 1, -1)  # 1 × 1 is no map
    return LayerMaps(place.path, place.type, len(values), np.ascontiguousarray(maps, np.float32))


def filters(net: Net) -> Filters | None:
    """The filters, at most 64, of the first layer with kernels; None where they are no pictures.

    A dense layer that reads the pixels, or what pooling made of them, has its rows shown as images.
    """
    place = next(_weighted(net), None)
    if place is None:
        return None
    tree = net.task.model.layout.tree(net.session.vector())
    for name in place.path.split("."):
        tree = tree[name]
    weights = np.asarray(tree["W"], np.float32)[:MOST_MAPS]
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
