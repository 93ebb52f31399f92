"""Layers one after another.

Derivation

    x₁ = f₁(x)
    x₂ = f₂(x₁)                           and so on to fₙ, which gives y
    y = fₙ(… f₂(f₁(x)))
    dx₁ = J₂ᵀ … Jₙᵀ dy                    the chain rule: of each layer, Jₖ[a,b] is the derivative of its output a by
                                          its input b, and Jₖᵀ is what its `backward` multiplies by
    dx = J₁ᵀ dx₁ = J₁ᵀ J₂ᵀ … Jₙᵀ dy

From the right, each product is of a matrix and a vector, and no Jₖ is ever written down: going back costs as much as
two passes forward, whatever the number of weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Backward, Example, Layer, Pass, Tree, TwinPass
from firstlight.layers.batchnorm import BatchNorm
from firstlight.layers.container import Container, Named, by_type, shape_inside
from firstlight.layers.conv2d import Conv2D
from firstlight.layers.dense import Dense
from firstlight.layers.dropout import Dropout
from firstlight.layers.flatten import Flatten
from firstlight.layers.layer_step import LayerStep
from firstlight.layers.maxpool2d import MaxPool2D
from firstlight.layers.relu import ReLU
from firstlight.layers.tanh import Tanh
from firstlight.types import Array, Shape
from firstlight.working import Index, Line, Operand, Working


@LAYERS.register
class Chain(Container):
    """y = fₙ(… f₂(f₁(x)));  dx = J₁ᵀ J₂ᵀ … Jₙᵀ dy, from the last layer to the first, with the derivatives Jₖ of fₖ.

    Without layers, it gives back what it is given.

    layers  f₁, f₂, … fₙ
    """

    layers: tuple[Layer, ...]

    sequential: ClassVar[bool] = True
    examples: ClassVar[tuple[Example, ...]]

    def named(self) -> Named:
        return self._named

    @cached_property
    def _named(self) -> Named:
        return by_type(self.layers)  # once: a net asks for it in every step

    def shapes(self, input_shape: Shape) -> Iterator[tuple[str, Layer, Shape]]:
        for name, layer in self.named():
            yield name, layer, input_shape
            input_shape = shape_inside(name, layer, input_shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        for name, layer in self.named():
            input_shape = shape_inside(name, layer, input_shape)
        return input_shape

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        backwards: list[tuple[str, Backward]] = []
        needs_dx = run.needs_dx
        for name, layer in self.named():
            x, backward = run.through(layer, name, p, x, needs_dx)
            backwards.append((name, backward))
            needs_dx = needs_dx or (name in p and run.trains(name))  # nothing to train before it: no dx is asked for

        def backward_all(dy: Array) -> tuple[Array | None, Tree]:
            grads: dict[str, Tree] = {}
            dx: Array | None = dy
            for name, backward in reversed(backwards):
                if dx is None:
                    break
                dx, inner = backward(dx)
                if inner:
                    grads[name] = inner
            return dx, grads

        return x, backward_all

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        for name, layer in self.named():
            x = graph.through(layer, name, p, x, path)
        return x

    def working(self, step: LayerStep, of: str, index: Index) -> Working:
        """What its last layer gave, or its first one sends back; without layers, x or dy itself."""
        inner = [*step.inner.items()]
        if not inner:
            array, numbers = ("x", step.x) if of == "y" else ("dy", step.dy)
        elif of == "y":
            array, numbers = inner[-1][0], inner[-1][1].y
        else:
            array, numbers = inner[0][0], inner[0][1].dx
        line = Line.sum(of, f"{of} = {array}", [Operand.at(array, numbers, *index)])
        return Working.made(of, index, [line], step.arrays[of][index])

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        for name, layer in self.named():
            x = run.through(torch, layer, name, p, x)
        return x


Chain.examples = (
    Example(Chain(()), (3,)),
    Example(Chain((Dense(4), Tanh(), Dense(3, name="head"))), (5,)),
    Example(Chain((Flatten(), Dense(4, bias=False), BatchNorm(), Tanh(), Dropout(0.3), Dense(2))), (2, 3, 2)),
    Example(
        Chain((Chain((Conv2D(3, bias=False), BatchNorm(), ReLU()), name="block"), MaxPool2D(2), Flatten(), Dense(2))),
        (1, 6, 6),
        smooth=False,
    ),
)
