"""What an augmentation must pass, of whichever of the three kinds it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from firstlight import kernels
from firstlight.checks.demand import Demand, DemandError, Fault, NotApplicableError, must_equal
from firstlight.errors import ExperimentError
from firstlight.prepare import Augmentation, Augmented
from firstlight.prepare.augmentations import Mixing, Ranged, Transform
from firstlight.prepare.augmentations.flip import Flip
from firstlight.types import Array, Images, MixedImages

IMAGES, EPOCH = 12, 3
SHAPES = ((8, 10, 3), (8, 10, 1))
Change = Callable[[Array, int], Any]


@dataclass(frozen=True)
class Case:
    """An augmentation of images of a shape; a spoilt one changes what is made, also by how often it was asked."""

    transform: Transform
    name: str
    shape: tuple[int, int, int] = SHAPES[0]
    change: Change | None = None

    @classmethod
    def all_of(cls, transform: Transform, name: str) -> list[Case]:
        """On images in colour and in grey, as far as it takes them."""
        cases = []
        for shape in SHAPES:
            try:
                transform.check(name, shape, IMAGES)
            except ExperimentError:
                continue
            cases.append(cls(transform, name, shape))
        return cases

    def __str__(self) -> str:
        return f"{self.name} on images of {'×'.join(map(str, self.shape))}"

    def images(self) -> Images:
        draw = np.random.default_rng(0)
        pixels = draw.integers(0, 256, (IMAGES, *self.shape), np.uint8)
        return Images(pixels, np.arange(IMAGES) % 3, np.arange(IMAGES).astype(str), ("a", "b", "c"))

    def made(self, index: Array, p: float = 1.0) -> Images:
        """What becomes of the images at `index` where it happens by a probability of `p`."""
        augmentation = Augmentation(((self.name, replace(self.transform, p=p)),))
        return Augmented(self.images(), augmentation, 0, kernels.load()).batch(index, EPOCH)

    def pixels(self, index: Array, p: float = 1.0) -> Any:
        found = self.made(index, p).pixels
        return found if self.change is None else self.change(found, next(_calls))


_calls = iter(range(10**12))


def pixels(case: Case) -> None:
    """It makes bytes of the same shape."""
    try:
        found = case.pixels(np.arange(IMAGES))
    except ExperimentError as error:
        raise DemandError("images", f"uint8 of shape {(IMAGES, *case.shape)}", str(error)) from None
    must_equal("images", f"uint8 {(IMAGES, *case.shape)}", f"{found.dtype} {np.shape(found)}", "{}")


def company(case: Case) -> None:
    """What becomes of an image does not depend on its place in a batch, nor on the others there."""
    whole = case.pixels(np.arange(IMAGES))
    for index in (np.arange(IMAGES)[::-1], np.array([7, 2]), np.array([5])):
        found = case.pixels(index)
        if not np.array_equal(found, whole[index]):
            raise DemandError(f"images {index.tolist()} as a batch", "what they are among others", "something else")


def off(case: Case) -> None:
    """With a probability of 0 nothing happens."""
    found, images = case.pixels(np.arange(IMAGES), 0.0), case.images().pixels
    if not np.array_equal(found, images):
        raise DemandError("p = 0", "the images as they were", "others")


def shares(case: Case) -> None:
    """Of mixed images, the shares of the classes are from 0 to 1 and sum to one."""
    if not isinstance(case.transform, Mixing):
        raise NotApplicableError("it mixes no images")
    found = case.made(np.arange(IMAGES))
    assert isinstance(found, MixedImages)
    wrong = (np.abs(found.targets.sum(axis=1) - 1) > 1e-9) | (found.targets < 0).any(axis=1)
    if wrong.any():
        raise DemandError(f"image {int(wrong.argmax())}", "shares that sum to one", found.targets[wrong][0].tolist())


DEMANDS = (
    Demand("images", pixels),
    Demand("company", company),
    Demand("off", off),
    Demand("shares", shares),
)


def _with(change: Change) -> Callable[[Case], Case]:
    return lambda case: replace(case, change=change)


def _by_place(made: Array, call: int) -> Array:
    return made + np.arange(len(made), dtype=np.uint8)[:, None, None, None]


FAULTS = (
    Fault("numbers with a point", _with(lambda made, call: made.astype(np.float32))),
    Fault("a row too few", _with(lambda made, call: made[:, 1:])),
    Fault("other draws with each call", _with(lambda made, call: made + np.uint8(call % 251))),
    Fault("by the place in the batch", _with(_by_place)),
    Fault("by the mean of the batch", _with(lambda made, call: made + np.uint8(made.mean()))),
)


def made(component: Any) -> Transform:
    """The augmentation with its defaults, where its class is given: a range of all that it allows, and always."""
    found: Any = component
    if isinstance(component, type) and issubclass(component, Ranged):
        found = component(*component.bounds)
    elif isinstance(component, type):
        found = component(1.0) if issubclass(component, Flip) else component()
    return found
