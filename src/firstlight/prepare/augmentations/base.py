"""What an augmentation is: what may be asked of it, what it draws for each image, and what it does with that.

Most say how much of something happens to an image, by adding to `Amounts`: all that are of one kind are then done at
once, in one affine map or one change of light. A `PixelTransform` makes images of images, as those of one's own do; a
`Mixing` mixes each image with another one, and their labels with them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, make_dataclass
from typing import Annotated, Any, ClassVar, Self

import numpy as np

from firstlight.components import Component, Components, needed
from firstlight.constraints import Fits
from firstlight.errors import ExperimentError, nearest
from firstlight.kernels import Kernels
from firstlight.options import is_number
from firstlight.text import listed
from firstlight.types import Array, Shape

Numbers = tuple[float, float]
NUMBERS = 15  # that a kind may draw for an image without saying so, beside whether it happens


def is_probability(value: object) -> bool:
    """Whether a value is a number from 0 to 1."""
    return is_number(value) and 0 <= value <= 1  # type: ignore[operator]


Probability = Annotated[float, Fits(is_probability, "a probability, from 0 to 1")]


class Uniform:
    """Numbers of a kind's own for n images, by (seed, epoch, sample) and nothing else.

    samples  uint64 (n,), a number of its own for each image
    keys     uint64 (m,), one for each of the numbers that are drawn for an image
    """

    def __init__(self, samples: Array, keys: Array) -> None:
        self.samples, self.keys = samples, keys

    def __call__(self, number: int) -> Array:
        """(n,) evenly in [0, 1): the upper 53 bits of a hash. Number 0 is for whether it happens."""
        return (self.hashes(number) >> np.uint64(11)) * 2.0**-53

    def hashes(self, number: int) -> Array:
        """uint64 (n,)."""
        return _mix(self.samples + self.keys[number])


@dataclass
class Amounts:
    """What happens to n images but to their pixels one by one: each is a number, or (n,).

    shape       (H, W), or (H, W, C) where the channels are known
    crop        the share of each side that is kept, and where: `window`, from the centre, as a share of each side
    flips       −1 for a mirror image upside down, and left to right; else 1
    zoom, shear, rotate, shift  a share, degrees, degrees, shares of the height and of the width
    hue         a share of the way round the colour wheel
    saturation, contrast  factors; 1 for as it is
    brightness, noise  shares
    noise_keys  uint64 (n,)
    patch       top, bottom, left, right of what is painted over
    epoch       from 1, for what is not the same in all epochs
    """

    n: int
    shape: Shape
    crop: Any = 1.0
    window: tuple[Any, Any] = (0.0, 0.0)
    flips: tuple[Any, Any] = (1.0, 1.0)
    zoom: Any = 0.0
    shear: Any = 0.0
    rotate: Any = 0.0
    shift: tuple[Any, Any] = (0.0, 0.0)
    hue: Any = 0.0
    saturation: Any = 1.0
    contrast: Any = 1.0
    brightness: Any = 0.0
    noise: Any = 0.0
    noise_keys: Any = 0
    patch: Any = None
    epoch: int = 1

    @property
    def has_colours(self) -> bool:
        """Whether the images can have a hue; where the channels are not known, they have none."""
        return self.shape[2:] == (3,)

    def shift_by(self, down: Any = 0.0, right: Any = 0.0) -> None:
        """Shift by so much more."""
        self.shift = (self.shift[0] + down, self.shift[1] + right)


@dataclass(frozen=True)
class Transform(Component):
    """The base of all augmentations.

    p  the probability that it is applied to an image
    """

    p: Probability = field(default=1.0, kw_only=True)

    main: ClassVar[str] = ""  # the option that a bare number in the table stands for
    once: ClassVar[bool] = False  # whether its numbers are drawn once for all epochs

    @classmethod
    def of(cls, name: str, value: Any) -> Self:
        """What the value of its key in the `[augment]` table asks for.

        Raises ExperimentError where that makes no sense.
        """
        if isinstance(value, Mapping):
            options = dict(value)
        elif value is True:
            options = {}
        elif cls.main and not isinstance(value, bool):
            options = {cls.main: value}
        else:
            raise ExperimentError(f"augment.{name} must be {cls.allowed()}; received {value!r}.", key=f"augment.{name}")
        made: Self = AUGMENTATIONS.build(name, **options)  # type: ignore[assignment]
        return made

    @classmethod
    def allowed(cls) -> str:
        """What its value in the table must be, in words."""
        if not cls.main:
            return "true, or a table such as { p = 0.5 }"
        options = {option.name: option for option in AUGMENTATIONS.options(AUGMENTATIONS.name_of(cls) or "")}
        own = [name for name in options if name != "p"]
        return f"{options[cls.main].allowed} ({cls.main}), or a table of {listed([*own, 'p'])}"

    def table(self) -> Any:
        """Its value in a table with every default written out."""
        own = {name: value for name, value in vars(self).items() if name != "p"}
        return {**own, "p": float(self.p)}

    @classmethod
    def schema(cls, name: str) -> dict[str, Any]:
        """The JSON Schema of its value in the table."""
        table = AUGMENTATIONS.json_schema(name)
        short = [table["properties"][cls.main]] if cls.main else [{"type": "boolean"}]
        return {"description": AUGMENTATIONS.summary(name), "anyOf": [*short, table]}

    @property
    def can_happen(self) -> bool:
        """Whether it can happen to an image at all."""
        return self.p > 0

    def check(self, name: str, shape: Shape, images: int) -> None:
        """Raise ExperimentError where nothing can be done to so many images of `shape` (H, W, C)."""

    def draw(self, amounts: Amounts, uniform: Uniform) -> None:
        """Add what happens to the images."""


@dataclass(frozen=True)
class Ranged(Transform):
    """By probability p, a number drawn evenly from low to high.

    low   the least
    high  the largest
    """

    low: float
    high: float

    bounds: ClassVar[Numbers]  # what low and high may be
    unit: ClassVar[str]  # what they are

    def __post_init__(self) -> None:
        name, (least, most) = AUGMENTATIONS.name_of(type(self)) or type(self).__name__, self.bounds
        if not (is_number(self.low) and is_number(self.high) and least <= self.low <= self.high <= most):
            raise ExperimentError(
                f"augment.{name} must be {self.within()}, the lower number first; received {self.low!r} to "
                f"{self.high!r}.",
                key=f"augment.{name}",
            )
        super().__post_init__()

    @classmethod
    def spread(cls, amount: float) -> Numbers:
        """The range that a single number stands for."""
        return -amount, amount

    @classmethod
    def within(cls) -> str:
        least, most = cls.bounds
        return f"a range within {least:g} to {most:g} ({cls.unit})"

    @classmethod
    def allowed(cls) -> str:
        return f"a number or a range [a, b] within {cls.bounds[0]:g} to {cls.bounds[1]:g}: {cls.unit}"

    @classmethod
    def of(cls, name: str, value: Any) -> Self:
        """A number, a range, or a table with a range and a probability."""
        if not isinstance(value, Mapping):
            return cls(*cls._range(name, value))
        options = table_options(name, value, ("range",), {"p": 1.0})
        return cls(*cls._range(f"{name}.range", options["range"]), p=options["p"])

    @classmethod
    def schema(cls, name: str) -> dict[str, Any]:
        number = {"type": "number", "minimum": 0}
        pair = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
        range_ = {"anyOf": [number, pair], "description": cls.allowed()}
        p = {"type": "number", "minimum": 0, "maximum": 1, "default": 1.0}
        table: dict[str, Any] = {"type": "object", "properties": {"range": range_, "p": p}, "required": ["range"]}
        table["additionalProperties"] = False
        return {"description": AUGMENTATIONS.summary(name), "anyOf": [number, pair, table]}

    @classmethod
    def _range(cls, key: str, value: Any) -> Numbers:
        if is_number(value) and value >= 0:
            return cls.spread(value)
        if isinstance(value, list | tuple) and len(value) == 2:
            return value[0], value[1]
        raise ExperimentError(
            f"augment.{key} is a number from 0, or a range of two, [low, high] ({cls.unit}); received {value!r}.",
            key=f"augment.{key}",
        )

    def table(self) -> Any:
        return {"range": [float(self.low), float(self.high)], "p": float(self.p)}

    def amount(self, uniform: Uniform, number: int = 1, otherwise: float = 0.0) -> Array:
        """(n,): what is drawn, and `otherwise` for the images that it does not happen to."""
        amount = self.low + (self.high - self.low) * uniform(number)
        return np.where(uniform(0) < self.p, amount, otherwise)


@dataclass(frozen=True)
class PixelTransform(Transform):
    """The base of what makes images of images, as an augmentation of one's own does.

    It happens after the images were moved and before their colours and their light change: first those of firstlight in
    the order of `turn`, then one's own in the order of their names.
    """

    numbers: ClassVar[int] = 4
    turn: ClassVar[int] = 2

    @needed(unless="run")
    def apply(self, images: Array, uniform: Array) -> Array:
        """uint8 (n, H, W, C) of the same images, which must not be written to.

        uniform  float64 (n, numbers), evenly in [0, 1): drawn by (seed, epoch, sample) and nothing else. What is done
                 to an image may depend on these and on the image alone
        """
        raise NotImplementedError

    def run(self, images: Array, uniform: Array, kernels: Kernels) -> Array:
        """`apply`, with kernels for those that have one."""
        made = self.apply(images, uniform)
        if not isinstance(made, np.ndarray) or made.dtype != np.uint8 or made.shape != images.shape:
            given = f"{made.dtype} {made.shape}" if isinstance(made, np.ndarray) else type(made).__name__
            raise ExperimentError(
                f"augment.{AUGMENTATIONS.name_of(type(self))} must give images as it takes them, uint8 of shape "
                f"{images.shape}; it gave {given}."
            )
        return made


@dataclass(frozen=True)
class Mixing(Transform):
    """The base of what mixes an image with another training image as it is drawn, and their labels by the same shares.

    The other image is any of the training images, by (seed, epoch, sample): batches make no difference.
    """

    numbers: ClassVar[int] = 1

    def check(self, name: str, shape: Shape, images: int) -> None:
        if images < 2:
            raise ExperimentError(
                f"augment.{name} mixes each training image with another, and there is only {images}. Leave it out.",
                key=f"augment.{name}",
            )

    @needed()
    def mix(self, images: Array, others: Array, uniform: Array, kernels: Kernels) -> tuple[Array, Array]:
        """The mixed images, uint8 (n, H, W, C), and the share that each image has in its own, float64 (n,).

        uniform  float64 (n, numbers), evenly in [0, 1)
        """
        raise NotImplementedError


class _Augmentations(Components[Transform]):
    """Names are keys of a table, with underscores; a function over images is one too."""

    def default_name(self, component: type) -> str:
        return super().default_name(component).replace("-", "_")

    def _registered(self, definition: Any, name: str) -> Any:
        if not inspect.isfunction(definition):
            return super()._registered(definition, name)
        super()._registered(_of_function(definition), name or definition.__name__)
        return definition


AUGMENTATIONS = _Augmentations("augmentation", base=Transform, error=ExperimentError, place="augment.{name}")


def _of_function(function: Callable[..., Array]) -> type[PixelTransform]:
    """The component that a function (images, uniform, further options) is.

    Raises ExperimentError where it takes something else.
    """
    first, *options = inspect.signature(function, eval_str=True).parameters.values() or (None,)
    if first is None or first.name != "images" or not options or options[0].name != "uniform":
        raise ExperimentError(
            f"{function.__qualname__}: an augmentation is a function (images, uniform, …), images uint8 (n, H, W, C) "
            f"and uniform float64 (n, {PixelTransform.numbers})."
        )

    def apply(self: Any, images: Array, uniform: Array) -> Array:
        return function(images, uniform, **{option.name: getattr(self, option.name) for option in options[1:]})

    fields = [
        (option.name, option.annotation, field(kw_only=True))
        if option.default is option.empty
        else (option.name, option.annotation, field(default=option.default, kw_only=True))
        for option in options[1:]
    ]
    names = {"apply": apply, "__doc__": function.__doc__, "__module__": function.__module__}
    made = make_dataclass(function.__name__, fields, bases=(PixelTransform,), namespace=names, frozen=True)
    made.__qualname__, made.__doc__ = function.__qualname__, function.__doc__
    return made


def table_options(
    name: str, value: Mapping[str, Any], required: tuple[str, ...], usual: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A table in the place of a number. Raises ExperimentError for an unknown key, and where one is missing."""
    known = [*required, *(usual or {})]
    for key in value:
        if key not in known:
            text = f"augment.{name}.{key}: there is no such key. {nearest(str(key), known)}"
            raise ExperimentError(text, key=f"augment.{name}.{key}")
    for key in required:
        if key not in value:
            text = f"augment.{name}.{key} is required."
            raise ExperimentError(text, key=f"augment.{name}.{key}")
    return {**(usual or {}), **value}


def _mix(h: Array) -> Array:
    """A hash of 64 bits to 64 bits (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators")."""
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))
