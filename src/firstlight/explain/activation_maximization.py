"""What a unit looks for: the image that it answers to most strongly, found by climbing its gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from firstlight.explain.net import Net
from firstlight.randomness import generator
from firstlight.types import Array

Unit = tuple[str, int]  # the path of a layer, and a channel or feature of it

STEPS, SETTLING = 64, 16
STRIDE = 6.0  # grey levels that a step moves a pixel by, as a root mean square
_GREY, _NOISE = 127.5, 4.0
_FLAT = 1e-12
_BLURRED = 4  # every so many steps


def maximize_activations(
    net: Net, units: Sequence[Unit], seed: int = 0, progress: Callable[[int, int], None] | None = None
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
        left = (STEPS - step) / SETTLING  # below 1, it stands still, and goes in ever smaller steps
        down, right = (int(random.integers(-reach, reach + 1)) if left > 1 else 0 for _ in range(2))
        noise = random.standard_normal((channels, height, width))
        slope = np.roll(_slope(net, np.roll(z, (down, right), axis=(2, 3)), units), (-down, -right), axis=(2, 3))
        size = np.sqrt(np.square(slope).mean(axis=(1, 2, 3), keepdims=True))
        flat = size < _FLAT  # nothing reaches the unit from here: look elsewhere
        z = z + STRIDE * min(1, left) * np.where(flat, noise, slope / np.where(flat, 1, size))
        z = np.clip(_blurred(z) if left > 1 and step % _BLURRED == 0 else z, 0, 255)
        yield z


def answers(net: Net, pixels: Array, units: Sequence[Unit]) -> Array:
    """What each unit gives for its own image of prepared pixels uint8 (n, H, W, C): of a channel, the mean."""
    given = []
    for (path, unit), image in zip(units, pixels, strict=True):
        value = net.session.trace(net.prepared(image[np.newaxis]), None, [path]).values[path]
        given.append(float(value[0, unit].mean(dtype=np.float64)))
    return np.array(given)


def _slope(net: Net, z: Array, units: Sequence[Unit]) -> Array:
    """The gradient of each unit by its own image of pixels z (n, C, H, W), which need not be whole."""
    cotangents = {}
    for path in {path for path, _ in units}:
        shape = net.places[path].shape
        cotangents[path] = np.zeros((len(units), *shape))
    for i, (path, unit) in enumerate(units):
        area = cotangents[path][i, unit].size
        cotangents[path][i, unit] = 1 / area
    dx = net.session.trace(net.seen(z), cotangents, [net.head]).dx
    assert dx is not None, "cotangents were given"
    return net.by_pixels(dx, z)


def _blurred(z: Array) -> Array:
    """Each pixel with an eighth of its neighbours on both sides, in both directions; edges are drawn out."""
    for axis in (2, 3):
        padded = np.pad(z, [(1, 1) if k == axis else (0, 0) for k in range(4)], mode="edge")
        before, after = (np.take(padded, range(i, i + z.shape[axis]), axis=axis) for i in (0, 2))
        z = 0.75 * z + 0.125 * (before + after)
    return z
