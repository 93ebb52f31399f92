"""Statistics of what every layer gives over many images: moments, zeros, dead units and saturation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from firstlight import kernels
from firstlight.errors import RunError
from firstlight.explain.explained_run import Steps
from firstlight.explain.net import Net, Place
from firstlight.layers import Activation, Layer, Pass, Softmax
from firstlight.records.explanation import SATURATED, LayerStatistics
from firstlight.types import Array

SAME = 1e-6  # relatively: sums of the same numbers round otherwise in chunks of another size
FLAT = 0.01  # of the largest gradient: where it is smaller, a value counts as saturated


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


def compute_activation_statistics(net: Net, pixels: Array, progress: Steps | None = None) -> ActivationStatistics:
    """The statistics of every layer over prepared pixels uint8 (N, H, W, C), a chunk of images at a time.

    Raises RunError where a layer gives what is not finite.
    """
    gathered = {path: _Gathered(place) for path, place in net.shown.items()}
    activations = {
        path: ActivationGradient(place.layer)
        for path, place in net.shown.items()
        if isinstance(place.layer, Activation)
    }
    wanted = {*gathered, *(net.origin(net.shown[path].source) for path in activations)} - {""}
    for start in range(0, len(pixels), net.chunk):
        x = net.prepared(pixels[start : start + net.chunk])
        values = {"": x, **net.session.trace(x, None, wanted).values}
        for path, gather in gathered.items():
            gather.add(values[path])
            if path in activations:
                source = values[net.origin(net.shown[path].source)]
                gather.saturated += activations[path].saturated(source.reshape(values[path].shape))
        if progress:
            progress(start + len(x), len(pixels))
    layers = tuple(gather.result(path in activations) for path, gather in gathered.items())
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
    saturated: Array = field(init=False)  # of each unit, how many values are
    low: Array = field(init=False)  # of each unit
    high: Array = field(init=False)
    peak: Array = field(init=False)

    def __post_init__(self) -> None:
        units = self.place.shape[0]
        self.saturated, self.low = np.zeros(units, np.int64), np.full(units, np.inf)
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

    def result(self, activation: bool) -> LayerStatistics:
        same = self.high - self.low <= SAME * np.maximum(np.abs(self.low), np.abs(self.high))
        dead = np.flatnonzero(same) if self.images > 1 else ()  # one image cannot tell
        stuck = self.saturated >= SATURATED * (self.count / len(self.saturated))
        layer = self.place.layer
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
            saturated=float(self.saturated.sum()) / self.count if activation else None,
            saturated_units=tuple(map(int, np.flatnonzero(stuck))) if activation else None,
            flat_at_both_ends=layer.flat_at_both_ends if isinstance(layer, Activation) else None,
        )


class ActivationGradient:
    """An activation's own gradient, dy/dx of each value by itself, and where it is saturated.

    The rule: saturated is what passes on less than a hundredth of the largest gradient that the activation has
    anywhere, in magnitude: a sigmoid beyond ±6, tanh beyond ±3, a ReLU below 0. A softmax has the gradient y (1 − y)
    and no more than 1/4.
    """

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.run = Pass(kernels.load("reference"))
        self.largest = float(np.abs(self.at(np.linspace(-8, 8, 1601)[None])).max())

    def at(self, x: Array) -> Array:
        """For inputs (N, units, …)."""
        if isinstance(self.layer, Softmax):
            y = np.exp(x - x.max(axis=1, keepdims=True))
            y /= y.sum(axis=1, keepdims=True)
            return y * (1 - y)
        _, backward = self.layer.forward({}, x, self.run)
        dx, _ = backward(np.ones_like(x))
        assert dx is not None, "needs_dx is set"
        return dx

    def saturated(self, x: Array) -> Array:
        """How many of the inputs (N, units, …) are saturated, of each unit, int64 (units,)."""
        largest = 0.25 if isinstance(self.layer, Softmax) else self.largest
        small = np.abs(self.at(x)) < FLAT * largest * (1 - 1e-6)  # LeakyReLU's 0.01 is not below
        return np.count_nonzero(small, axis=(0, *range(2, small.ndim)))
