"""Nets with all that a picture can hold: containers of a user's own, branches in branches, names that are no names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from firstlight.layers import (
    BatchNorm,
    Chain,
    Concat,
    Container,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    ReLU,
    Residual,
)
from firstlight.layers.container import Named, shape_inside
from firstlight.models import Model, build
from firstlight.types import Shape

HOSTILE = '"><script>alert(1)</script>&\x07'


@dataclass(frozen=True)
class Gate(Container):
    """y = x · gate(x): of one child, and of x itself. It draws nothing and learns nothing."""

    gate: Layer

    reads_input: ClassVar[bool] = True

    def named(self) -> Named:
        return (("gate", self.gate),)

    def output_shape(self, input_shape: Shape) -> Shape:
        return shape_inside("gate", self.gate, input_shape)


@dataclass(frozen=True)
class Sequence(Container):
    """One after another, as in a chain that is a layer by itself."""

    first: Layer
    second: Layer

    sequential: ClassVar[bool] = True

    def named(self) -> Named:
        return (("first", self.first), ("second", self.second))

    def shapes(self, input_shape: Shape) -> Iterator[tuple[str, Layer, Shape]]:
        for name, layer in self.named():
            yield name, layer, input_shape
            input_shape = layer.output_shape(input_shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        return self.second.output_shape(self.first.output_shape(input_shape))


def own() -> Model:
    """Containers of a user's own."""
    inside = Gate(Chain((Conv2D(4, 1), ReLU(), Conv2D(4, 1, name=HOSTILE))), name="squeeze")
    both = Sequence(Dense(5), ReLU(), name="both")
    return Model("own", Chain((Conv2D(4), inside, GlobalAvgPool2D(), both, Dense(3, name="head"))), (8, 8, 1), 3)


def nested() -> Model:
    """Branches in branches, four abreast, a join without a layer, and a branch that ends in a join."""
    deep = Concat((Chain(()), Conv2D(2, 1, name="a" * 90), Chain((Conv2D(3, 1), BatchNorm(), ReLU())), Conv2D(1, 1)))
    twice = Residual(Chain((Residual(Conv2D(8, padding="same")), ReLU())), name="twice")
    doubled = Residual(Chain(()), name="doubled")
    return Model("nested", Chain((deep, twice, doubled, Flatten(), Dense(2))), (6, 6, 2), 2)


def inception() -> Model:
    """Branches that each end in a container."""
    tower = Concat((Conv2D(2, 1), Residual(Conv2D(2, 3, padding="same"))))
    return Model("inception", Chain((Concat((tower, Conv2D(3, 1)), name="mixed"), Flatten(), Dense(2))), (5, 5, 2), 2)


def small() -> dict[str, Model]:
    """Each way of connecting layers, on little images."""
    return {
        "own": own(),
        "nested": nested(),
        "inception": inception(),
        "resnet20": build("resnet20", (8, 8, 3), 4, {"width": 4}),
        "lenet5": build("lenet5", (28, 28, 1), 10),
    }
