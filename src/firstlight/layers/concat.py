"""Branches side by side, their channels one after another.

Derivation

    y = [f₁(x); f₂(x); …]
    dxₖ = Jₖᵀ dyₖ                         what the `backward` of branch k gives of dyₖ, its own channels of dy; Jₖ are
                                          the derivatives of fₖ(x) by x
    dx = Σₖ Jₖᵀ dyₖ = Σₖ dxₖ              the chain rule: x reaches the loss through all branches
"""

from __future__ import annotations

import functools
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import MinLen

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Backward, Example, Layer, Pass, Tree, TwinPass
from firstlight.layers.batchnorm import BatchNorm
from firstlight.layers.chain import Chain
from firstlight.layers.container import Container, Named, by_type, shape_inside
from firstlight.layers.conv2d import Conv2D
from firstlight.layers.dense import Dense
from firstlight.layers.layer_step import LayerStep
from firstlight.layers.tanh import Tanh
from firstlight.types import Array, Shape
from firstlight.working import Index, Line, Operand, Working


@LAYERS.register
class Concat(Container):
    """y = [f₁(x); f₂(x); …] along the channels;  dx = Σₖ dxₖ, where branch k gives dxₖ of its own part of dy.

    With Chain(()) as a branch, the input itself is kept: a DenseNet (Huang et al. 2016).

    branches  f₁, f₂, …
    """

    branches: Annotated[tuple[Layer, ...], MinLen(1)]

    examples: ClassVar[tuple[Example, ...]]

    def named(self) -> Named:
        return by_type(self.branches)

    def output_shape(self, input_shape: Shape) -> Shape:
        shapes = [shape_inside(name, layer, input_shape) for name, layer in self.named()]
        if len({shape[1:] for shape in shapes}) > 1:
            reason = f"its branches give {', '.join(map(str, shapes))}, which differ beyond their channels"
            raise self.misfit(input_shape, reason, "They need the same strides and paddings.")
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        names = [name for name, _ in self.named()]
        ys, backwards = zip(
            *(run.through(layer, name, p, x, run.needs_dx) for name, layer in self.named()),
            strict=True,
        )
        ends = np.cumsum([len(y) for y in ys])[:-1]

        def backward(dy: Array) -> tuple[Array | None, Tree]:
            parts = zip(backwards, np.split(dy, ends), strict=True)
            dxs, trees = zip(*(backward(part) for backward, part in parts), strict=True)
            grads = {name: tree for name, tree in zip(names, trees, strict=True) if tree}
            # Some of them may be None, where nobody needs dx.
            return (None if any(dx is None for dx in dxs) else functools.reduce(np.add, dxs)), grads

        return np.concatenate(ys), backward

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.concat([graph.through(layer, name, p, graph.branch(x), path) for name, layer in self.named()])

    def working(self, step: LayerStep, of: str, index: Index) -> Working:
        """The branch that a channel is of; backward, what every branch sends back."""
        if of == "dx":
            terms = [[Operand.at(name, branch.dx, *index)] for name, branch in step.inner.items()]
            return Working.made(of, index, [Line.sum("dx", "dx = Σₖ dxₖ", *terms)], step.dx[index])
        c, *rest = index
        for name, branch in step.inner.items():
            if c < len(branch.y):
                line = Line.sum("y", f"y = {name}", [Operand.at(name, branch.y, c, *rest)])
                break
            c -= len(branch.y)
        return Working.made(of, index, [line], step.y[index])

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        return torch.cat([run.through(torch, layer, name, p, x) for name, layer in self.named()], dim=1)


Concat.examples = (
    Example(Concat((Dense(3), Chain((Dense(2), Tanh())))), (4,)),
    Example(Concat((Chain(()), Chain((BatchNorm(), Tanh(), Conv2D(3, padding="same"))))), (2, 3, 4)),
    Example(Concat((Conv2D(1, 1, name="one"), Conv2D(2, 3, padding=1), Conv2D(2, 5, padding=2))), (2, 3, 4)),
)
