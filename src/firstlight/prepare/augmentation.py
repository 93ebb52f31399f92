"""Augmentation: each training image a little different in every epoch, so that a net cannot learn it by heart.

What happens to an image is drawn by (seed, epoch, the sample's id) and nothing else: batches, workers, engines and a
resumed run make no difference. In this order, the image is cropped and enlarged to its size again, flipped, zoomed,
sheared, rotated about its centre and shifted, all in one affine map and one bilinear pass; then its contrast about its
own mean and its brightness are changed, noise is added, and a patch is cut out. Pixels stay bytes. An image for which
nothing is drawn comes out as it was, and one that is only flipped is flipped exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, get_args

import numpy as np

from firstlight.errors import ExperimentError, nearest
from firstlight.kernels import Fill
from firstlight.options import is_number
from firstlight.randomness import generator
from firstlight.types import Array

Numbers = tuple[float, float]


@dataclass(frozen=True)
class Chance:
    """By probability p, a number drawn evenly from low to high."""

    low: float
    high: float
    p: float = 1.0


class Kind(NamedTuple):
    """What a kind of augmentation is given in.

    allowed  the least and the largest number
    unit     what its numbers are
    spread   the range that a single number stands for
    """

    allowed: Numbers
    unit: str
    spread: Callable[[float], Numbers]


def _either_way(reach: float) -> Numbers:
    return -reach, reach


def _exactly(amount: float) -> Numbers:
    return amount, amount


KINDS = {
    "crop": Kind((0.05, 1), "a share of each side that is kept", lambda least: (least, 1.0)),
    "zoom": Kind((-0.8, 4), "a change of size, 0.1 for a tenth larger", _either_way),
    "shear": Kind((-60, 60), "degrees", _either_way),
    "rotate": Kind((-180, 180), "degrees, anticlockwise", _either_way),
    "shift": Kind((-1, 1), "a share of the height and of the width", _either_way),
    "contrast": Kind((-1, 4), "a change of contrast, -1 for plain grey", _either_way),
    "brightness": Kind((-1, 1), "a share of the way from black to white", _either_way),
    "noise": Kind((0, 1), "a standard deviation, as a share of the way from black to white", _exactly),
    "cutout": Kind((0, 1), "a share of each side", _exactly),
}
FLIPS = ("flip_horizontal", "flip_vertical")
# Each kind has four keys an epoch, by its place here: turning one on does not change what is drawn for another. Places
# never change, so that an experiment draws the same in every version: a kind that is new comes after all of these.
PLACES = ("crop", "zoom", "shear", "rotate", "shift", "contrast", "brightness", "noise", "cutout", *FLIPS)
DRAWN = (*PLACES, *(kind for kind in KINDS if kind not in PLACES))


@dataclass(frozen=True)
class Augmentation:
    """What is drawn for the training images, and how: the `[augment]` table.

    crop             keep a window of this share of each side, anywhere in the image, and enlarge it
    zoom             change the size by this share
    shear, rotate    by so many degrees
    shift            by this share of the height, and another one of the width
    contrast         multiply the distance from the image's mean by 1 + this
    brightness       add this share of 255
    noise            add Gaussian noise with a standard deviation of this share of 255
    cutout           paint a patch of this share of each side with `fill_value`; its centre is anywhere in the image
    flip_horizontal, flip_vertical  the probabilities of a mirror image, left to right and upside down
    fill             what lies outside an image: "nearest" (its edge), "reflect" (its mirror image) or "constant"
    fill_value       0 to 255, for "constant" and `cutout`

    Raises ExperimentError where a number is out of range.
    """

    crop: Chance | None = None
    zoom: Chance | None = None
    shear: Chance | None = None
    rotate: Chance | None = None
    shift: Chance | None = None
    contrast: Chance | None = None
    brightness: Chance | None = None
    noise: Chance | None = None
    cutout: Chance | None = None
    flip_horizontal: float = 0.0
    flip_vertical: float = 0.0
    fill: Fill = "nearest"
    fill_value: int = 0

    def __post_init__(self) -> None:
        for name, (allowed, unit, _) in KINDS.items():
            chance: Chance | None = getattr(self, name)
            if chance is None:
                continue
            low, high = chance.low, chance.high
            if not (is_number(low) and is_number(high) and allowed[0] <= low <= high <= allowed[1]):
                raise ExperimentError(
                    f"augment.{name} must be a range within {allowed[0]:g} to {allowed[1]:g} ({unit}), the lower "
                    f"number first; received {low!r} to {high!r}.",
                    key=f"augment.{name}",
                )
            _must_be_probability(f"{name}.p", chance.p)
        for name in FLIPS:
            _must_be_probability(name, getattr(self, name))
        if self.fill not in get_args(Fill):
            text = f"augment.fill: there is no {self.fill!r}. {nearest(str(self.fill), get_args(Fill))}"
            raise ExperimentError(text, key="augment.fill")
        if isinstance(self.fill_value, bool) or self.fill_value not in range(256):
            raise ExperimentError(
                f"augment.fill_value must be a whole number from 0 to 255; received {self.fill_value!r}.",
                key="augment.fill_value",
            )

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Augmentation:
        """What an `[augment]` table says; `Experiment` tells how it is written.

        Raises ExperimentError for an unknown key, with the nearest that exists, and for values that make no sense.
        """
        known = [field.name for field in fields(cls)]
        given: dict[str, Any] = {}
        for name, value in table.items():
            if name not in known:
                raise ExperimentError(
                    f"augment.{name}: there is no such key. {nearest(name, known)}", key=f"augment.{name}"
                )
            if name in KINDS:
                given[name] = _chance(name, value)
            elif name in FLIPS and isinstance(value, Mapping):
                given[name] = _options(name, value, ("p",))["p"]
            else:
                given[name] = value
        return cls(**given)

    def table(self) -> dict[str, Any]:
        """The `[augment]` table with every default written out; a kind that is not wanted is left out."""
        table: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Chance):
                table[field.name] = {"range": [float(value.low), float(value.high)], "p": float(value.p)}
            elif value is not None:
                table[field.name] = float(value) if field.name in FLIPS else value
        return table

    def __bool__(self) -> bool:
        """Whether anything can happen to an image."""
        return any(getattr(self, name) for name in FLIPS) or any(
            (chance := getattr(self, name)) is not None and chance.p > 0 for name in KINDS
        )

    def draws(self, seed: int, epoch: int, samples: Array, size: tuple[int, int]) -> Draws:
        """What happens in an epoch to images of `size` (H, W).

        samples  uint64 (n,): a number of its own for each image, such as a hash of its id
        """
        keys = generator(seed, "augment", epoch).integers(0, 2**64, (len(DRAWN), 4), np.uint64)

        def even(name: str, number: int) -> Array:
            """Numbers in [0, 1) for the images: the upper 53 bits of a hash."""
            return (_mix(samples + keys[DRAWN.index(name), number]) >> np.uint64(11)) * 2.0**-53

        def drawn(name: str, number: int = 1, otherwise: float = 0.0) -> Array | float:
            chance: Chance | None = getattr(self, name)
            if chance is None:
                return otherwise
            amount = chance.low + (chance.high - chance.low) * even(name, number)
            return np.where(even(name, 0) < chance.p, amount, otherwise)

        def flipped(name: str) -> Array | float:
            p: float = getattr(self, name)
            return np.where(even(name, 0) < p, -1.0, 1.0) if p else 1.0

        kept = drawn("crop", otherwise=1.0)
        window = [(even("crop", number) - 0.5) * (1 - kept) if self.crop else 0.0 for number in (2, 3)]
        maps = _maps(
            len(samples),
            size,
            scale=kept / (1 + drawn("zoom")),
            window=(window[0], window[1]),
            flips=(flipped("flip_vertical"), flipped("flip_horizontal")),
            slant=np.tan(np.deg2rad(drawn("shear"))),
            angle=np.deg2rad(drawn("rotate")),
            shift=(drawn("shift"), drawn("shift", 2)),
        )
        light = np.empty((len(samples), 3), np.float32)
        light[:, 0] = 1 + drawn("contrast")
        light[:, 1] = 255 * drawn("brightness")
        light[:, 2] = 255 * drawn("noise")
        patches = np.zeros((len(samples), 4), np.int64)
        if self.cutout is not None:
            for axis, side in enumerate(size):
                length = np.ceil(drawn("cutout") * side - 0.5).astype(np.int64)
                start = (even("cutout", 2 + axis) * side).astype(np.int64) - length // 2
                patches[:, 2 * axis], patches[:, 2 * axis + 1] = np.clip([start, start + length], 0, side)
        return Draws(maps, light, _mix(samples + keys[DRAWN.index("noise"), 2]), patches)


@dataclass(frozen=True, eq=False)
class Draws:
    """What happens to n images, as `Kernels.augment` takes it."""

    maps: Array
    light: Array
    keys: Array
    patches: Array

    def take(self, index: Array) -> Draws:
        """Those of some of the images."""
        return Draws(self.maps[index], self.light[index], self.keys[index], self.patches[index])


def _maps(
    n: int,
    size: tuple[int, int],
    *,
    scale: Array | float,
    window: tuple[Array | float, Array | float],
    flips: tuple[Array | float, Array | float],
    slant: Array | float,
    angle: Array | float,
    shift: tuple[Array | float, Array | float],
) -> Array:
    """The maps (n, 2, 3) from a pixel of the result to its place in the source.

    From the centre of the shifted result, a place is turned back by the angle, then slid along its row against the
    slant, then flipped and scaled, about the centre of the window.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    maps = np.empty((n, 2, 3))
    maps[:, 0, 0], maps[:, 0, 1] = scale * flips[0] * cos, scale * flips[0] * sin
    maps[:, 1, 0], maps[:, 1, 1] = scale * flips[1] * (-sin - slant * cos), scale * flips[1] * (cos - slant * sin)
    centre = [(side - 1) / 2 for side in size]
    row, column = (middle + share * side for middle, share, side in zip(centre, shift, size, strict=True))
    for axis, side in enumerate(size):
        middle = centre[axis] + window[axis] * side
        maps[:, axis, 2] = middle - (maps[:, axis, 0] * row + maps[:, axis, 1] * column)
    return maps


def _mix(h: Array) -> Array:
    """A hash of 64 bits to 64 bits (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators")."""
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


def _chance(name: str, value: Any) -> Chance:
    """A number, a range, or a table with a range and a probability."""
    if not isinstance(value, Mapping):
        return Chance(*_range(name, value))
    options = _options(name, value, ("range",), {"p": 1.0})
    return Chance(*_range(f"{name}.range", options["range"]), options["p"])


def _range(key: str, value: Any) -> Numbers:
    _, unit, spread = KINDS[key.partition(".")[0]]
    if is_number(value) and value >= 0:
        return spread(value)
    if isinstance(value, list | tuple) and len(value) == 2:
        return value[0], value[1]
    raise ExperimentError(
        f"augment.{key} is a number from 0, or a range of two, [low, high] ({unit}); received {value!r}.",
        key=f"augment.{key}",
    )


def _options(
    name: str, value: Mapping[str, Any], needed: tuple[str, ...], usual: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A table in the place of a number."""
    known = [*needed, *(usual or {})]
    for key in value:
        if key not in known:
            text = f"augment.{name}.{key}: there is no such key. {nearest(str(key), known)}"
            raise ExperimentError(text, key=f"augment.{name}.{key}")
    for key in needed:
        if key not in value:
            text = f"augment.{name}.{key}: this is needed, and missing."
            raise ExperimentError(text, key=f"augment.{name}.{key}")
    return {**(usual or {}), **value}


def _must_be_probability(key: str, value: Any) -> None:
    if not (is_number(value) and 0 <= value <= 1):
        raise ExperimentError(
            f"augment.{key} must be a probability, from 0 to 1; received {value!r}.", key=f"augment.{key}"
        )
