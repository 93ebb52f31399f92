"""Convolution over images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from firstlight.kernels.graph import Graph, Value
from firstlight.layers import initializers
from firstlight.layers.base import Backward, Example, Layer, Parameter, Pass, Tree, TwinPass, is_number, is_whole
from firstlight.layers.window import BORDERS, Border, Size, is_border, is_size, padding_of, pair, slide, twin_padding
from firstlight.types import Array, Shape


@dataclass(frozen=True)
class Conv2D(Layer):
    """y[o,i,j] = b[o] + Σ W[o,c,u,v] · x[c, i·s+u, j·s+v], with zeros round x (a cross-correlation, as everywhere).

    dW[o,c,u,v] = Σ dy[o,i,j] · x[c, i·s+u, j·s+v],  db[o] = Σ dy[o,i,j],
    dx[c, i·s+u, j·s+v] += W[o,c,u,v] · dy[o,i,j]
    """

    filters: int
    kernel: Size = 3
    stride: Size = 1
    padding: Border = "valid"
    bias: bool = True
    initializer: str = "glorot_uniform"
    l1: float = 0.0
    l2: float = 0.0

    examples: ClassVar[tuple[Example, ...]]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("filters", is_whole(self.filters), "a whole number from 1")
        self.require("kernel", is_size(self.kernel), "a whole number from 1 or a pair of them")
        self.require("stride", is_size(self.stride), "a whole number from 1 or a pair of them")
        self.require("padding", is_border(self.padding), BORDERS)
        self.require("bias", isinstance(self.bias, bool), "true or false")
        self.require("l1", is_number(self.l1), "a number from 0")
        self.require("l2", is_number(self.l2), "a number from 0")
        initializers.check(self.initializer)

    def output_shape(self, input_shape: Shape) -> Shape:
        return (self.filters, *slide(self, input_shape, pair(self.kernel), pair(self.stride), self.padding))

    def parameters(self, input_shape: Shape) -> Mapping[str, Any]:
        shape = (self.filters, input_shape[0], *pair(self.kernel))
        area = math.prod(pair(self.kernel))
        fan_in, fan_out = input_shape[0] * area, self.filters * area
        W = Parameter(shape, self.initializer, fan_in, fan_out, kernel=True, l1=self.l1, l2=self.l2)
        return {"W": W, "b": Parameter((self.filters,))} if self.bias else {"W": W}

    def multiply_adds(self, input_shape: Shape) -> int:
        return math.prod(self.output_shape(input_shape)) * input_shape[0] * math.prod(pair(self.kernel))

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        W, kernels = p["W"], run.kernels
        size = (x.shape[1], x.shape[2])
        kernel, stride = pair(self.kernel), pair(self.stride)
        padding = padding_of(self.padding, size, kernel, stride)
        y = kernels.conv2d(x, W, p["b"] if self.bias else None, stride, padding)

        def backward(dy: Array) -> tuple[Array | None, Tree]:
            grads = {"W": kernels.conv2d_dW(x, dy, stride, padding, kernel)}
            if self.bias:
                grads["b"] = dy.reshape(len(dy), -1).sum(axis=1)
            return (kernels.conv2d_dx(dy, W, stride, padding, size) if run.needs_dx else None), grads

        return y, backward

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        size = (x.shape[1], x.shape[2])
        kernel, stride = pair(self.kernel), pair(self.stride)
        return graph.conv2d(x, p["W"], p.get("b"), stride, padding_of(self.padding, size, kernel, stride))

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        kernel, stride = pair(self.kernel), pair(self.stride)
        padding = padding_of(self.padding, (x.shape[2], x.shape[3]), kernel, stride)
        x, even = twin_padding(torch, x, padding, 0.0)
        return torch.nn.functional.conv2d(x, p["W"], p.get("b"), stride, even)


Conv2D.examples = (
    Example(Conv2D(3), (2, 5, 6)),
    Example(Conv2D(2, 5, padding="same"), (1, 4, 4)),
    Example(Conv2D(2, (2, 4), padding="same", bias=False), (3, 5, 6)),
    Example(Conv2D(4, 3, stride=2, padding=1, initializer="he_normal"), (2, 7, 6)),
    Example(Conv2D(2, (3, 2), stride=(1, 3), padding=(2, 0)), (2, 4, 8)),
    Example(Conv2D(3, 2, stride=2, padding=((0, 1), (2, 1))), (1, 4, 5)),
    Example(Conv2D(2, 3, stride=2, padding="same", name="stem"), (2, 6, 5)),
    Example(Conv2D(3, 1, stride=2, l1=1e-4, l2=1e-4), (2, 4, 5)),
)
