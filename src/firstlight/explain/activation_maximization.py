"""Activation maximization: the image that a unit gives most for, found by gradient ascent (Erhan et al. 2009)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from firstlight.errors import ModelError
from firstlight.explain.activation_statistics import ActivationStatistics, compute_activation_statistics
from firstlight.explain.explained_run import ExplainedRun, Progress, Steps
from firstlight.explain.net import Net
from firstlight.layers import Activation, BatchNorm, Conv2D
from firstlight.progress import unwatched
from firstlight.randomness import generator
from firstlight.records.explanation import MaximizingImage
from firstlight.types import Array

Unit = tuple[str, int]  # the path of a layer, and a channel or feature of it

STEPS, SETTLING = 64, 16
STRIDE = 6.0  # grey levels that a step moves a pixel by, as a root mean square
_GREY, _NOISE = 127.5, 4.0
_FLAT = 1e-12
_BLURRED = 4  # every so many steps
OUTPUTS, CHANNELS = 20, 12  # units of the last layer, and channels of the last convolution, that are shown


def maximize_activations(
    net: Net, units: Sequence[Unit], seed: int = 0, progress: Steps | None = None
) -> tuple[Array, Array]:
    """Pixels uint8 (n, H, W, C) that drive each unit as high as was found, and what it then gives, float64 (n,).

    Activation maximization (Erhan et al. 2009): from grey with a little noise, a number of steps of equal length along
    the gradient of a channel's mean or of a feature, by the pixels, which stay within 0 to 255. So that the image is no
    mere noise, it is shifted by a pixel or so before each step, and blurred slightly now and then (Mordvintsev et al.
    2015), except in the last steps. Everything random is drawn from the seed: the same on every engine, to rounding.
    """
    done, total = 0, STEPS * -(-len(units) // net.chunk)
    found = []
    for first in range(0, len(units), net.chunk):
        for z in _climb(net, units[first : first + net.chunk], seed):
            reached, done = z, done + 1
            if progress:
                progress(done, total)
        found.append(np.moveaxis(np.rint(reached), 1, -1).astype(np.uint8))
    pixels = np.concatenate(found)
    return pixels, answers(net, pixels, units)


def _climb(net: Net, units: Sequence[Unit], seed: int) -> Iterator[Array]:
    """The pixels (n, C, H, W) after each step. Every unit meets the same start, shifts and noise."""
    height, width, channels = net.task.model.input_shape
    random = generator(seed, "ideals")
    start = _GREY + _NOISE * random.standard_normal((channels, height, width))
    z = np.repeat(start[np.newaxis], len(units), axis=0)
    reach = max(1, min(height, width) // 16)
    for step in range(STEPS):
        left = (STEPS - step) / SETTLING  # below 1, there are no more shifts, and steps get smaller
        down, right = (int(random.integers(-reach, reach + 1)) if left > 1 else 0 for _ in range(2))
        noise = random.standard_normal((channels, height, width))
        gradient = np.roll(_gradient(net, np.roll(z, (down, right), axis=(2, 3)), units), (-down, -right), axis=(2, 3))
        size = np.sqrt(np.square(gradient).mean(axis=(1, 2, 3), keepdims=True))
        flat = size < _FLAT  # the gradient vanishes here: take a random step instead
        z = z + STRIDE * min(1, left) * np.where(flat, noise, gradient / np.where(flat, 1, size))
        z = np.clip(_blurred(z) if left > 1 and step % _BLURRED == 0 else z, 0, 255)
        yield z


def answers(net: Net, pixels: Array, units: Sequence[Unit]) -> Array:
    """What each unit gives for its own image of prepared pixels uint8 (n, H, W, C): of a channel, the mean."""
    given = []
    for (path, unit), image in zip(units, pixels, strict=True):
        value = net.session.trace(net.prepared(image[np.newaxis]), None, [path]).values[path]
        given.append(float(value[0, unit].mean(dtype=np.float64)))
    return np.array(given)


def _gradient(net: Net, z: Array, units: Sequence[Unit]) -> Array:
    """The gradient of each unit with respect to its own image of pixels z (n, C, H, W), which need not be whole."""
    cotangents = {}
    for path in {path for path, _ in units}:
        shape = net.places[path].shape
        cotangents[path] = np.zeros((len(units), *shape))
    for i, (path, unit) in enumerate(units):
        area = cotangents[path][i, unit].size
        cotangents[path][i, unit] = 1 / area
    dx = net.session.trace(net.standardized(z), cotangents, [net.head]).dx
    assert dx is not None, "cotangents were given"
    return net.by_pixels(dx, z)


def _blurred(z: Array) -> Array:
    """Each pixel with an eighth of its neighbours on both sides, in both directions; edges are drawn out."""
    for axis in (2, 3):
        padded = np.pad(z, [(1, 1) if k == axis else (0, 0) for k in range(4)], mode="edge")
        before, after = (np.take(padded, range(i, i + z.shape[axis]), axis=axis) for i in (0, 2))
        z = 0.75 * z + 0.125 * (before + after)
    return z


def maximizing_image(run: ExplainedRun, layer: str, unit: int, progress: Progress = unwatched) -> MaximizingImage:
    """The image that one unit gives most for: a channel or feature of a layer, numbered from 0.

    Raises ModelError for a layer, or a unit of it, that the net does not have.
    """
    units = run.net.place(layer).shape[0]
    if not 0 <= unit < units:
        raise ModelError(f"The units of {layer} are 0 to {units - 1}; received {unit}.")
    found = compute_activation_statistics(run.net, run.sample().pixels, partial(progress, "activation statistics"))
    [made] = maximizing_images(run, [(layer, unit)], found, progress)
    return made


def maximizing_images(
    run: ExplainedRun, units: Sequence[Unit], found: ActivationStatistics, progress: Progress
) -> tuple[MaximizingImage, ...]:
    """The images found for units, with what the units give for them and at most for a test image."""
    net = run.net
    pixels, values = maximize_activations(net, units, run.seed, partial(progress, "activation maximization"))
    return tuple(
        MaximizingImage(
            path, unit, unit_name(net, path, unit, run.class_names), image, float(value), found.peak(path, unit)
        )
        for (path, unit), image, value in zip(units, pixels, values, strict=True)
    )


def shown_units(run: ExplainedRun, found: ActivationStatistics) -> list[Unit]:
    """The head's, and the first channels of the last convolution that are not dead."""
    net = run.net
    units = [(net.head, k) for k in range(min(net.places[net.head].shape[0], OUTPUTS))]
    last = next((place for place in reversed(net.shown.values()) if isinstance(place.layer, Conv2D)), None)
    if last is not None and last.path != net.head:
        dead = _dead(net, last.path, found)
        alive = [k for k in range(last.shape[0]) if k not in dead]
        units += [(last.path, k) for k in alive[:CHANNELS]]
    return units


def _dead(net: Net, path: str, found: ActivationStatistics) -> set[int]:
    """The units of a layer of which nothing comes through, there or behind its batch norm and its activation."""
    start = next(n for n, layer in enumerate(found.layers) if layer.layer == path)
    first, *others = found.layers[start:]
    behind = itertools.takewhile(
        lambda one: isinstance(net.shown[one.layer].layer, Activation | BatchNorm) and one.units == first.units, others
    )
    return set(first.dead).union(*(one.dead for one in behind))


def unit_name(net: Net, path: str, unit: int, class_names: Sequence[str]) -> str:
    """What a person calls a unit, numbered from 0: the head's by its class, a single output by class 1 of two."""
    if path != net.head:
        return f"{path}, {'channel' if len(net.places[path].shape) == 3 else 'feature'} {unit}"
    return class_names[1 if net.places[path].shape == (1,) else unit]
