"""Augmentation: each training image a little different in every epoch, so that a net cannot learn it by heart.

What happens to an image is drawn by (seed, epoch, the sample's id) and nothing else (once for all epochs, where an
augmentation goes on from one epoch to the next): batches, workers, engines and a resumed run make no difference. In
this order, the image is cropped and enlarged to its size again, flipped, zoomed, sheared, rotated about its centre and
shifted, all in one affine map and one bilinear pass; it is deformed, blurred, and changed by augmentations of one's
own; then its colours, its contrast about its own mean and its brightness are changed, noise is added, and a patch is
cut out; at the end it is mixed with another image. Pixels stay bytes. An image for which nothing is drawn comes out as
it was, and one that is only flipped is flipped exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from firstlight.errors import ExperimentError, nearest
from firstlight.kernels import Fill, Kernels
from firstlight.options import is_number
from firstlight.prepare.augmentations import AUGMENTATIONS, Amounts, Mixing, PixelTransform, Transform, Uniform
from firstlight.prepare.augmentations.base import NUMBERS
from firstlight.prepare.augmentations.colours import matrices
from firstlight.prepare.augmentations.flip import Flip
from firstlight.randomness import generator
from firstlight.types import Array, Images, Shape

# These have four keys an epoch, by their places here, which never change: an experiment draws the same in every
# version. Any other kind has keys of its own, by its name. So turning one on does not change what is drawn for another.
PLACES = (
    "crop", "zoom", "shear", "rotate", "shift", "contrast", "brightness", "noise", "cutout", "flip_horizontal",
    "flip_vertical",
)  # fmt: skip
FLIPS = PLACES[-2:]
OUTSIDE = ("fill", "fill_value")
PLAIN_MAP, PLAIN_LIGHT = np.eye(2, 3), np.array([1, 0, 0], np.float32)


@dataclass(frozen=True)
class Augmentation:
    """What is drawn for the training images, and how: the `[augment]` table.

    transforms  by name; those that firstlight had first come first
    fill        what lies outside an image: "nearest" (its edge), "reflect" (its mirror image) or "constant"
    fill_value  0 to 255, for "constant" and `cutout`

    Raises ExperimentError where a number is out of range.
    """

    transforms: tuple[tuple[str, Transform], ...] = ()
    fill: Fill = "nearest"
    fill_value: int = 0

    def __post_init__(self) -> None:
        if self.fill not in get_args(Fill):
            text = f"augment.fill: there is no {self.fill!r}. {nearest(str(self.fill), get_args(Fill))}"
            raise ExperimentError(text, key="augment.fill")
        if isinstance(self.fill_value, bool) or self.fill_value not in range(256):
            raise ExperimentError(
                f"augment.fill_value must be an integer from 0 to 255; received {self.fill_value!r}.",
                key="augment.fill_value",
            )

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Augmentation:
        """What an `[augment]` table says; `Experiment` tells how it is written.

        Raises ExperimentError for an unknown key, with the nearest that exists, and for values that make no sense.
        """
        known = kinds()
        for name in table:
            if name not in known and name not in OUTSIDE:
                text = f"augment.{name}: there is no such key. {nearest(name, [*known, *OUTSIDE])}"
                raise ExperimentError(text, key=f"augment.{name}")
        asked = {name: table[name] for name in known if name in table and not _off(name, table[name])}
        transforms = [(name, AUGMENTATIONS[name].of(name, value)) for name, value in asked.items()]
        return cls(tuple(transforms), **{name: table[name] for name in OUTSIDE if name in table})

    def get(self, name: str) -> Transform | None:
        """What is asked of the augmentation called `name`, if anything is."""
        return dict(self.transforms).get(name)

    def table(self) -> dict[str, Any]:
        """The `[augment]` table with every default written out; a kind that is not wanted is left out."""
        found = {name: transform.table() for name, transform in self.transforms if not isinstance(transform, Flip)}
        ours = {name: value for name, value in found.items() if name in PLACES}
        flips = {name: 0.0 if (flip := self.get(name)) is None else flip.table() for name in FLIPS}
        return {**ours, **flips, "fill": self.fill, "fill_value": self.fill_value, **found}

    def __bool__(self) -> bool:
        """Whether anything can happen to an image."""
        return any(transform.can_happen for _, transform in self.transforms)

    @property
    def mixes(self) -> bool:
        """Whether images are mixed, so that their labels are shares of classes."""
        return any(isinstance(transform, Mixing) and transform.can_happen for _, transform in self.transforms)

    def check(self, images: Images) -> None:
        """Raise ExperimentError where something that is asked for cannot be done to these training images."""
        for name, transform in self.transforms:
            if transform.can_happen:
                transform.check(name, images.shape, len(images))

    def draws(self, seed: int, epoch: int, samples: Array, shape: Shape) -> Draws:
        """What happens in an epoch to images of `shape` (H, W, C).

        samples  uint64 (n,): a number of its own for each image, such as a hash of its id
        """
        places = generator(seed, "augment", epoch).integers(0, 2**64, (len(PLACES), 4), np.uint64)
        amounts = Amounts(len(samples), shape, epoch=epoch)
        steps: list[Step] = []
        for name, transform in self.transforms:
            numbers = getattr(transform, "numbers", 0)
            if name in PLACES:
                keys = places[PLACES.index(name)]
            else:
                purpose = ("augment", name) if transform.once else ("augment", name, epoch)
                keys = generator(seed, *purpose).integers(0, 2**64, max(NUMBERS, numbers + 2) + 1, np.uint64)
            uniform = Uniform(samples, keys)
            transform.draw(amounts, uniform)
            if isinstance(transform, PixelTransform | Mixing) and transform.can_happen:
                steps.append(Step.drawn(name, transform, uniform, numbers))
        return Draws.of(amounts, steps)

    def make(self, pixels: Array, index: Array, draws: Draws, kernels: Kernels) -> Array:
        """uint8 (n, H, W, C): pixels[index] with what was drawn, but for being mixed."""

        def augmented(pixels: Array, index: Array, maps: Array, light: Array, patches: Array) -> Array:
            fill = (self.fill, self.fill_value)
            return kernels.augment(pixels, index, maps, light, draws.keys, patches, *fill)

        steps = [step for step in draws.steps if isinstance(step.transform, PixelTransform)]
        if not steps and draws.colours is None:
            return augmented(pixels, index, draws.maps, draws.light, draws.patches)
        plain_light, nowhere = np.broadcast_to(PLAIN_LIGHT, draws.light.shape), np.zeros_like(draws.patches)
        made = augmented(pixels, index, draws.maps, np.ascontiguousarray(plain_light), nowhere)
        for step in sorted(steps, key=lambda step: (step.transform.turn, step.name)):  # type: ignore[attr-defined]
            made = step.run(made, kernels)
        if draws.colours is not None:
            made = kernels.recolour(made, draws.colours)
        if (draws.light == PLAIN_LIGHT).all() and (draws.patches == 0).all():
            return made
        maps = np.ascontiguousarray(np.broadcast_to(PLAIN_MAP, draws.maps.shape))
        return augmented(made, np.arange(len(made)), maps, draws.light, draws.patches)


@dataclass(frozen=True, eq=False)
class Step:
    """What one augmentation draws for n images, which it does to them by itself.

    happens  bool (n,)
    other    float64 (n, 2), evenly in [0, 1): which image another one is mixed with
    uniform  float64 (n, numbers)
    """

    name: str
    transform: Transform
    happens: Array
    other: Array
    uniform: Array

    @classmethod
    def drawn(cls, name: str, transform: Transform, uniform: Uniform, numbers: int) -> Step:
        mixing = isinstance(transform, Mixing)
        first = 3 if mixing else 1
        own = np.stack([uniform(number) for number in range(first, first + numbers)], axis=1)
        other = np.stack([uniform(1), uniform(2)], axis=1) if mixing else np.empty((len(own), 0))
        return cls(name, transform, uniform(0) < transform.p, other, own)

    def take(self, index: Array) -> Step:
        return Step(self.name, self.transform, self.happens[index], self.other[index], self.uniform[index])

    def run(self, images: Array, kernels: Kernels) -> Array:
        """The images, uint8 (n, H, W, C), with what a `PixelTransform` makes of those that it happens to."""
        assert isinstance(self.transform, PixelTransform)
        if self.happens.all():
            return self.transform.run(images, self.uniform, kernels)
        chosen = np.flatnonzero(self.happens)
        made = images.copy()
        if len(chosen):
            made[chosen] = self.transform.run(images[chosen], self.uniform[chosen], kernels)
        return made


@dataclass(frozen=True, eq=False)
class Draws:
    """What happens to n images: as `Kernels.augment` and `Kernels.recolour` take it, and what is done by itself."""

    maps: Array
    light: Array
    keys: Array
    patches: Array
    colours: Array | None = None
    steps: tuple[Step, ...] = ()

    @classmethod
    def of(cls, amounts: Amounts, steps: list[Step]) -> Draws:
        n = amounts.n
        light = np.empty((n, 3), np.float32)
        light[:, 0] = amounts.contrast
        light[:, 1] = 255 * amounts.brightness
        light[:, 2] = 255 * amounts.noise
        keys = np.zeros(n, np.uint64) if np.ndim(amounts.noise_keys) == 0 else amounts.noise_keys
        patches = np.zeros((n, 4), np.int64) if amounts.patch is None else amounts.patch
        colours = matrices(n, amounts.hue, amounts.saturation)
        return cls(_maps(amounts), light, keys, patches, colours, tuple(steps))

    def take(self, index: Array) -> Draws:
        """Those of some of the images."""
        colours = None if self.colours is None else self.colours[index]
        steps = tuple(step.take(index) for step in self.steps)
        return Draws(self.maps[index], self.light[index], self.keys[index], self.patches[index], colours, steps)

    @property
    def mixings(self) -> list[Step]:
        """Those that mix images, in their order."""
        return [step for step in self.steps if isinstance(step.transform, Mixing)]


def _off(name: str, value: Any) -> bool:
    """Whether a value asks for nothing, so that a table without it is the same."""
    return (
        value is None or (value is False and name not in PLACES) or (name in FLIPS and is_number(value) and value == 0)
    )


def _maps(amounts: Amounts) -> Array:
    """The maps (n, 2, 3) from a pixel of the result to its place in the source.

    From the centre of the shifted result, a place is turned back by the angle, then slid along its row against the
    slant, then flipped and scaled, about the centre of the window.
    """
    size, flips = amounts.shape[:2], amounts.flips
    scale = amounts.crop / (1 + amounts.zoom)
    slant, angle = np.tan(np.deg2rad(amounts.shear)), np.deg2rad(amounts.rotate)
    cos, sin = np.cos(angle), np.sin(angle)
    maps = np.empty((amounts.n, 2, 3))
    maps[:, 0, 0], maps[:, 0, 1] = scale * flips[0] * cos, scale * flips[0] * sin
    maps[:, 1, 0], maps[:, 1, 1] = scale * flips[1] * (-sin - slant * cos), scale * flips[1] * (cos - slant * sin)
    centre = [(side - 1) / 2 for side in size]
    row, column = (middle + share * side for middle, share, side in zip(centre, amounts.shift, size, strict=True))
    for axis, side in enumerate(size):
        middle = centre[axis] + amounts.window[axis] * side
        maps[:, axis, 2] = middle - (maps[:, axis, 0] * row + maps[:, axis, 1] * column)
    return maps


def kinds() -> list[str]:
    """The names of all augmentations, those that firstlight had first coming first."""
    return [*PLACES, *(name for name in sorted(AUGMENTATIONS) if name not in PLACES)]


def augment_schema() -> dict[str, Any]:
    """The JSON Schema of the keys of an `[augment]` table."""
    fill = {"enum": [*get_args(Fill)], "default": "nearest", "description": "what lies outside an image"}
    value = {"type": "integer", "minimum": 0, "maximum": 255, "default": 0}
    value["description"] = "the grey level outside an image where fill is constant, and of patches"
    return {**{name: AUGMENTATIONS[name].schema(name) for name in kinds()}, "fill": fill, "fill_value": value}
