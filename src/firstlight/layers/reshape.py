"""From vectors to images, or between shapes.

Derivation

    yₖ = xₖ
    ∂yₖ/∂xⱼ = δₖⱼ                         1 where k = j, else 0
    dxⱼ = Σₖ dyₖ · ∂yₖ/∂xⱼ = dyⱼ          the chain rule
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

from annotated_types import Ge

from firstlight.constraints import Fits
from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Backward, Example, Layer, Pass, Tree, TwinPass
from firstlight.types import Array, Shape


@LAYERS.register
class Reshape(Layer):
    """yₖ = xₖ,  dxⱼ = dyⱼ: number k of x is number k of y, in `shape`, (C, H, W) or (I,).

    shape  (channels, height, width) of an image, or (units,)
    """

    shape: Annotated[
        tuple[Annotated[int, Ge(1)], ...],
        Fits(lambda shape: len(shape) in (1, 3), "three integers from 1 (channels, height, width) or one"),
    ]

    examples: ClassVar[tuple[Example, ...]]

    def output_shape(self, input_shape: Shape) -> Shape:
        if math.prod(input_shape) != math.prod(self.shape):
            reason = f"its {math.prod(input_shape)} numbers are not the {math.prod(self.shape)} of {self.shape}"
            raise self.misfit(input_shape, reason, "Choose a shape with as many numbers.")
        return self.shape

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        return x.reshape(*self.shape, x.shape[-1]), lambda dy: (dy.reshape(x.shape), {})

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.reshape(x, self.shape)

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        return x.reshape(len(x), *self.shape)


Reshape.examples = (
    Example(Reshape((2, 3, 2)), (12,)),
    Example(Reshape((4, 1, 3)), (2, 3, 2)),
    Example(Reshape((6,), name="vector"), (1, 2, 3)),
)
