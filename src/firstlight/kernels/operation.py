"""What an operation of the compiled engine is made of: values, and steps that are records with named fields.

An operation, such as `ops/dropout.py`, is a function that writes steps on a graph: those of the forward pass, and later
those of its gradient. A step is a record; its compiled loops read the same fields by the same names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, TypeVar, dataclass_transform

import numpy as np

from firstlight.types import Shape


@dataclass(frozen=True, eq=False)
class Value:
    """An array (·, n) of a net, for n images.

    shape          for one image
    memory         what it lies in; the same for two values, where the second takes the first one's place
    requires_grad  whether anything that it depends on is trained, so that its gradient is needed
    may_overwrite  whether nobody but the next layer needs it, which may then take its place
    """

    shape: Shape
    memory: Memory
    requires_grad: bool = False
    may_overwrite: bool = False

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class Part(NamedTuple):
    """A value from its number `start` on."""

    value: Value
    start: int


@dataclass(eq=False)
class Memory:
    """Space for `size` numbers per image; `small` ones are bytes: the winners of pooling."""

    size: int
    small: bool = False


@dataclass(frozen=True)
class Slot:
    """An array of weights: where it starts in the vector, and whether it is trained."""

    start: int
    shape: Shape
    trainable: bool


@dataclass(frozen=True)
class Cut:
    """What a step is made ready for: chunks of n images; vectors have `lanes` numbers of `itemsize` bytes.

    half    whether factors may be rounded to bfloat16; sums stay as they are
    images  of the whole batch
    size    of all chunks but the last
    split   whether threads share out the rows of large weights, and not the images alone; each has then one chunk
    batch   whether each thread then gathers all images for itself
    """

    n: int
    lanes: int
    itemsize: int
    training: bool
    half: bool = False
    images: int = 0
    size: int = 0
    split: bool = False
    batch: bool = False


@dataclass(frozen=True)
class Subroutine:
    """Loops that several steps share, compiled once and called by their address.

    arguments  integers that they take, of which the first are addresses
    """

    loops: Callable[..., None]
    arguments: int


class Step:
    """A step of a net's program. A subclass, made by `step`, adds its fields and its loops.

    In the compiled record, a value (or a part of one) is where it lies in the thread's memory for n images, an array of
    int32 is where it lies in the tables, a subroutine is its address; integers, truth values and floats stay.

    path      of the layer that it belongs to; empty for what is before and behind all layers
    backward  whether it is part of the backward pass
    """

    path: str = ""
    backward: bool = False
    relu: bool

    # What the record is in compiled code, and what the step is called.
    record: ClassVar[np.dtype[Any]]
    name: ClassVar[str]
    # Whether it can do with a batch of images that each thread has gathered for itself: see `ops.gather`.
    reads_batch: ClassVar[bool] = False
    # Whether it writes values that it can rectify by the way, see `relu`, and whether its own gradient then sees to it.
    gradient_rectifies: ClassVar[bool] = False

    @staticmethod
    def loops(op: Any, n: Any, n0: Any, chunk: Any, frame: Any, like: Any) -> None:
        """The compiled loops: for n images of the batch, from the n0-th, in that chunk; `like` tells the dtype."""
        raise NotImplementedError

    def ready(self, cut: Cut) -> Step:
        """The step that does this one for a cut; itself, where there is but one way."""
        return self

    def scratch(self, cut: Cut) -> int:
        """The numbers of a thread's scratch memory that the loops write."""
        return 0

    def exchange(self, cut: Cut) -> int:
        """The numbers that the loops write for other threads to read."""
        return 0

    def effort(self, n: int, lanes: int) -> int:
        """About how many vector instructions n images take in evaluation, fewer than a vector has lanes."""
        return 0

    def values(self) -> Iterator[Value]:
        """Every value that it reads or writes."""
        for entry in fields(self):  # type: ignore[arg-type]
            value = getattr(self, entry.name)
            value = value.value if isinstance(value, Part) else value
            if isinstance(value, Value):
                yield value


OPERATIONS: dict[str, Callable[..., Any]] = {}

S = TypeVar("S", bound=type[Step])
F = TypeVar("F", bound=Callable[..., Any])


@dataclass_transform(eq_default=False)
def step(kind: S) -> S:
    """Make a class with annotated fields a step of programs, called by its name in small letters: `max_pool_back`."""
    made: Any = dataclass(eq=False)(kind)
    made.name = "".join("_" * (i > 0 and c.isupper()) + c.lower() for i, c in enumerate(kind.__name__))
    made.record = np.dtype([(entry.name, "f8" if entry.type == "float" else "i8") for entry in fields(made)])
    return kind


def operation(write: F) -> F:
    """Register a function (graph, values and settings) -> value as what layers find by its name: `Graph.apply`."""
    OPERATIONS[write.__name__] = write
    return write


def slot_start(slot: Slot | None) -> int:
    """Where an array of weights starts; -1 for one that is not there."""
    return -1 if slot is None else slot.start


def trained_start(slot: Slot | None) -> int:
    """Where the gradient with respect to an array of weights starts; -1 where it is not trained."""
    return slot.start if slot is not None and slot.trainable else -1
