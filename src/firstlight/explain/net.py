"""A trained net to look into: its layers by path, and what it makes of prepared images."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from firstlight.engines import Session, Task, Trace
from firstlight.errors import ModelError, nearest
from firstlight.layers import Chain, Concat, Dropout, Flatten, Layer, Reshape, Residual, join
from firstlight.layers.container import Container
from firstlight.types import Array, Shape, unlabelled

MOST, PIXELS = 64, 1 << 17  # images at a time, and their pixels: every value of the net lies in memory for all
PASSING = (Flatten, Reshape, Dropout, Chain)  # what only hands on, in evaluation, what another layer gave


@dataclass(frozen=True)
class Place:
    """A layer in the net.

    path          such as "block1.relu1"
    source        the path of what it reads; "" for the prepared images
    input_shape, shape   (C, H, W) or (I,), of one image
    """

    path: str
    layer: Layer
    source: str
    input_shape: Shape
    shape: Shape

    @property
    def type(self) -> str:
        return type(self.layer).__name__

    @property
    def gives_values(self) -> bool:
        """Whether it does more than hand on what another layer gave."""
        return not isinstance(self.layer, PASSING)

    @property
    def has_maps(self) -> bool:
        """Whether it gives maps larger than one value."""
        return len(self.shape) == 3 and self.shape[1] * self.shape[2] > 1


@dataclass(frozen=True, eq=False)
class Net:
    """A session with its task."""

    session: Session
    task: Task

    @cached_property
    def places(self) -> dict[str, Place]:
        """Every layer and container of layers by its path, in the order of the data.

        A final activation that the loss contains is none of them: the net ends in what the loss takes.
        """
        return places_of(self.task)

    @cached_property
    def shown(self) -> dict[str, Place]:
        """Those whose values are worth looking at: layers, residuals and concatenations that do not only hand on."""
        return {path: place for path, place in self.places.items() if place.gives_values}

    @cached_property
    def head(self) -> str:
        """The path of what gives the outputs."""
        return next(reversed(self.places))

    @cached_property
    def hidden(self) -> str:
        """The path of the last hidden layer, whose values the last layer with weights reads; the head without one."""
        weighted = [place for place in self.places.values() if _has_weights(place)]
        return self.origin(weighted[-1].source if weighted else "") or self.head

    def origin(self, path: str) -> str:
        """The path of the layer whose values are handed on at `path`: itself, or one before; "" for the images."""
        while path and path not in self.shown:
            place = self.places[path]
            inner = place.layer.named() if isinstance(place.layer, Chain) else ()
            path = join(path, inner[-1][0]) if inner else place.source
        return path

    @property
    def chunk(self) -> int:
        """How many images to let through at once."""
        height, width, _ = self.task.model.input_shape
        return max(1, min(MOST, PIXELS // (height * width)))

    def place(self, path: str) -> Place:
        """The layer at `path`; for one that only hands on, such as Flatten, the one whose values it hands on.

        Raises ModelError with the nearest where there is none.
        """
        found = self.origin(path) if path in self.places else path
        if found not in self.shown:
            raise ModelError(
                f"{self.task.model.name} has no layer to explain called {path!r}. {nearest(path, self.shown)}"
            )
        return self.shown[found]

    def prepared(self, pixels: Array) -> Array:
        """What the net sees of pixels uint8 (N, H, W, C), (N, C, H, W)."""
        return self.session.prepared(unlabelled(pixels))

    def outputs(self, x: Array) -> Array:
        """The raw outputs (N, K) for prepared images."""
        parts = (x[i : i + self.chunk] for i in range(0, len(x), self.chunk))
        return np.concatenate([self.session.trace(part, None, [self.head]).values[self.head] for part in parts])

    def probabilities(self, x: Array) -> Array:
        """The probabilities float32 (N, K) for prepared images."""
        return self.task.loss.probabilities(self.outputs(x).T)

    def towards(self, targets: Array) -> Array:
        """What picks, as cotangents (N, K) of the outputs, the output of each image's target class.

        With a single output, which speaks for class 1 of two, class 0 takes its negative.
        """
        units = self.places[self.head].shape[0]
        if units == 1:
            return np.where(targets == 1, 1.0, -1.0)[:, None]
        return np.eye(units)[targets]

    def gradients(self, x: Array, targets: Array, only: Collection[str] = ()) -> Trace:
        """The trace of prepared images with the gradients of their target outputs; values and gradients of `only`."""
        return self.session.trace(x, {self.head: self.towards(targets)}, only or [self.head])

    def standardized(self, z: Array) -> Array:
        """What the net sees of pixels z, float (N, C, H, W) from 0 to 255, which need not be whole."""
        scale, shift = self.task.preparation.scale_shift(np.float64)
        x = z * scale + shift
        return _standardized(x)[0] if self.task.preparation.per_image else x

    def by_pixels(self, dx: Array, z: Array) -> Array:
        """Gradients with respect to the pixels z (N, C, H, W), from those by what the net sees of them.

        Where the preparation standardizes images by themselves, with x = (u − mean) / std of u = z · scale + shift:
        du = (dx − mean(dx) − x mean(dx x)) / std.
        """
        scale, shift = self.task.preparation.scale_shift(np.float64)
        if self.task.preparation.per_image:
            x, std = _standardized(z * scale + shift)
            dx = (dx - _mean(dx) - x * _mean(dx * x)) / std
        return dx * scale


def _standardized(u: Array) -> tuple[Array, Array]:
    """Each image u (N, C, H, W) standardized by itself, and its standard deviation, 1 where it is 0."""
    apart = u - _mean(u)
    std = np.sqrt(_mean(apart**2))
    std[std == 0] = 1
    return apart / std, std


def _mean(u: Array) -> Array:
    return u.mean(axis=(1, 2, 3), keepdims=True)


def places_of(task: Task) -> dict[str, Place]:
    """See `Net.places`; for a task alone."""
    places = _places(task.trained_layers(), "", "", task.model.channels_first)
    return {place.path: place for place in places}


def fewer(places: Collection[Place], most: int) -> list[Place]:
    """All places of a small net; of a deep one its blocks, at most so many, evenly, and always the last."""
    chosen = list(places)
    if len(chosen) > most:
        chosen = [place for place in chosen if "." not in place.path]
    if len(chosen) > most:
        chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, most).round().astype(int)]
    return chosen


def _places(layer: Layer, path: str, source: str, shape: Shape) -> Iterator[Place]:
    """The layers inside a container, each after those inside it; the container itself is left to the caller."""
    if not isinstance(layer, Container):
        return
    for name, child, input_shape in layer.shapes(shape):
        inner = join(path, name)
        yield from _places(child, inner, source, input_shape)
        yield Place(inner, child, source, input_shape, child.output_shape(input_shape))
        if layer.sequential:
            source = inner


def _has_weights(place: Place) -> bool:
    """Whether a layer of its own has kernels (batch norm has none)."""
    if isinstance(place.layer, Residual | Concat | Chain):
        return False
    return any(parameter.kernel for parameter in place.layer.parameters(place.input_shape).values())
