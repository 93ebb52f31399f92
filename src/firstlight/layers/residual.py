"""A body with a way round it (He et al. 2015).

Derivation

    y = body(x) + shortcut(x)
    dx₁ = J₁ᵀ dy                          what the body's `backward` gives; J₁ are the derivatives of body(x) by x
    dx₂ = J₂ᵀ dy                          what the shortcut's gives
    dx = (J₁ + J₂)ᵀ dy = dx₁ + dx₂        the derivative of a sum

Where the shortcut is x itself, dx₂ = dy: however small J₁ is, the gradient comes through whole.
"""

from __future__ import annotations

from typing import Any, ClassVar

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.avgpool2d import AvgPool2D
from firstlight.layers.base import LAYERS, Backward, Example, Layer, Pass, Tree, TwinPass
from firstlight.layers.batchnorm import BatchNorm
from firstlight.layers.chain import Chain
from firstlight.layers.container import Container, Named, shape_inside, unique
from firstlight.layers.conv2d import Conv2D
from firstlight.layers.dense import Dense
from firstlight.layers.layer_step import LayerStep
from firstlight.layers.padchannels import PadChannels
from firstlight.layers.tanh import Tanh
from firstlight.types import Array, Shape
from firstlight.working import Index, Line, Operand, Working

IDENTITY = Chain(())


@LAYERS.register
class Residual(Container):
    """y = body(x) + shortcut(x);  dx = dx₁ + dx₂, those of the two. The children are called body and shortcut.

    body      the residual branch
    shortcut  the skip connection; the identity by default
    """

    body: Layer
    shortcut: Layer = IDENTITY

    examples: ClassVar[tuple[Example, ...]]

    def named(self) -> Named:
        return unique(((self.body.name or "body", self.body), (self.shortcut.name or "shortcut", self.shortcut)))

    def output_shape(self, input_shape: Shape) -> Shape:
        body, shortcut = (shape_inside(name, layer, input_shape) for name, layer in self.named())
        if body != shortcut:
            reason = f"its body gives {body} and its shortcut {shortcut}, which cannot be added"
            raise self.misfit(input_shape, reason, "The shortcut needs the strides and channels of the body.")
        return body

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        (body, _), (shortcut, _) = self.named()
        y, backward_body = run.through(self.body, body, p, x, run.needs_dx)
        z, backward_shortcut = run.through(self.shortcut, shortcut, p, x, run.needs_dx)

        def backward(dy: Array) -> tuple[Array | None, Tree]:
            dx_body, grads_body = backward_body(dy)
            dx_shortcut, grads_shortcut = backward_shortcut(dy)
            grads = {name: tree for name, tree in ((body, grads_body), (shortcut, grads_shortcut)) if tree}
            # One of them may be None, where nobody needs dx.
            return (None if dx_body is None or dx_shortcut is None else dx_body + dx_shortcut), grads

        return y + z, backward

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        body, shortcut = (graph.through(layer, name, p, graph.branch(x), path) for name, layer in self.named())
        return graph.add(body, shortcut)

    def working(self, step: LayerStep, of: str, index: Index) -> Working:
        """The two that meet: what came by the body and by the shortcut, or goes back by them."""
        by = [
            [Operand.at(name, getattr(inner, of), *index)] for name, inner in step.inner.items()
        ]  # fmt: skip
        line = Line.sum(
            of, "y = body(x) + shortcut(x)" if of == "y" else "dx = dx of the body + dx of the shortcut", *by
        )
        return Working.made(of, index, [line], step.arrays[of][index])

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        return sum(run.through(torch, layer, name, p, x) for name, layer in self.named())


Residual.examples = (
    Example(Residual(Chain((Dense(4), Tanh()))), (4,)),
    Example(Residual(Dense(3, bias=False), Dense(3), name="block"), (5,)),
    Example(Residual(Chain((Conv2D(2, padding="same", bias=False), BatchNorm(), Tanh()))), (2, 4, 3)),
    Example(
        Residual(Conv2D(4, stride=2, padding=1), Chain((AvgPool2D(1, stride=2), PadChannels(1, 1)))),
        (2, 5, 4),
    ),
)
