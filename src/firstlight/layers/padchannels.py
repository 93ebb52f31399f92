"""Channels of zeros."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import Backward, Example, Layer, Pass, Tree, TwinPass, is_whole
from firstlight.types import Array, Shape


@dataclass(frozen=True)
class PadChannels(Layer):
    """y = x with zero channels before and after; dx = the channels of dy between them.

    The shortcut without parameters where a ResNet widens (He et al. 2015, option A).
    """

    before: int
    after: int

    examples: ClassVar[tuple[Example, ...]]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("before", is_whole(self.before, 0), "a whole number from 0")
        self.require("after", is_whole(self.after, 0), "a whole number from 0")

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
