"""Channels of zeros.

Derivation

    y[c + before] = x[c]
    ∂y[k]/∂x[c] = 1 where k = c + before, else 0   the zeros before and after depend on no x
    dx[c] = Σ[k] dy[k] · ∂y[k]/∂x[c] = dy[c + before]   the chain rule
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Backward, Example, Layer, Pass, Tree, TwinPass
from firstlight.types import Array, Shape


@LAYERS.register
class PadChannels(Layer):
    """y[c + before] = x[c], and 0 in the channels before and after;  dx[c] = dy[c + before].

    The shortcut without parameters where a ResNet widens (He et al. 2015, option A).

    before, after  how many channels
    """

    before: Annotated[int, Ge(0)]
    after: Annotated[int, Ge(0)]

    examples: ClassVar[tuple[Example, ...]]

    def output_shape(self, input_shape: Shape) -> Shape:
        return (self.before + input_shape[0] + self.after, *input_shape[1:])

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        inside = slice(self.before, self.before + len(x))
        y = np.zeros((self.before + len(x) + self.after, *x.shape[1:]), x.dtype)
        y[inside] = x
        return y, lambda dy: (dy[inside], {})

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.concat([x], self.before, self.after)

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        return torch.nn.functional.pad(x, (0, 0) * (x.dim() - 2) + (self.before, self.after))


PadChannels.examples = (
    Example(PadChannels(1, 2), (2, 3, 4)),
    Example(PadChannels(0, 1, name="pad"), (3,)),
)
