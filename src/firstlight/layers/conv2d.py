"""Convolution over images.

Derivation

The zeros at the border are part of x here, and get a dx that is thrown away. s is the stride.

    y[o,i,j] = b[o] + Σ[c,u,v] W[o,c,u,v] · x[c, i·s+u, j·s+v]
    dW[o,c,u,v] = Σ[i,j] dy[o,i,j] · ∂y[o,i,j]/∂W[o,c,u,v]   the chain rule: a weight is used at all places of y
      = Σ[i,j] dy[o,i,j] · x[c, i·s+u, j·s+v]
    db[o] = Σ[i,j] dy[o,i,j] · ∂y[o,i,j]/∂b[o] = Σ[i,j] dy[o,i,j]
    dx[c,p,q] = Σ[o,i,j] dy[o,i,j] · ∂y[o,i,j]/∂x[c,p,q]   a pixel lies under the window at some places of y
      = Σ[o, i·s+u = p, j·s+v = q] W[o,c,u,v] · dy[o,i,j]   over the i, j, u, v that fit p and q
    dx[c, i·s+u, j·s+v] += W[o,c,u,v] · dy[o,i,j]   the same sum term by term, as the window goes over y

dW and db of a batch are the sums of those of its images, for each image uses the same weights; dx is each image's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Backward, Example, Layer, Parameter, Pass, Tree, TwinPass
from firstlight.layers.initializers import Initializer
from firstlight.layers.layer_step import LayerStep
from firstlight.layers.window import Border, Size, Window, padding_of, pair, slide, twin_padding
from firstlight.types import Array, Shape
from firstlight.working import Index, Line, Operand, Working, places


@LAYERS.register
class Conv2D(Layer):
    """y[o,i,j] = b[o] + Σ[c,u,v] W[o,c,u,v] · x[c, i·s+u, j·s+v], with zeros around x (a cross-correlation).

    dW[o,c,u,v] = Σ[i,j] dy[o,i,j] · x[c, i·s+u, j·s+v],  db[o] = Σ[i,j] dy[o,i,j],  both summed over the images, too;
    dx[c, i·s+u, j·s+v] += W[o,c,u,v] · dy[o,i,j]

    filters      the channels of y
    kernel       the size of a filter (rows, columns); one number for a square
    stride       s: the stride (down, to the right); one number for both
    padding      zeros around x: none ("valid"), as many as give y the size of x divided by the stride ("same"), or
                 their number at each side
    bias         whether there is a bias b
    initializer  the initializer of W
    l1, l2       weights of the penalties l1 Σ|W| and l2 Σ W²
    """

    filters: Annotated[int, Ge(1)]
    kernel: Size = 3
    stride: Size = 1
    padding: Border = "valid"
    bias: bool = True
    initializer: Initializer = "glorot_uniform"
    l1: Annotated[float, Ge(0)] = 0.0
    l2: Annotated[float, Ge(0)] = 0.0

    examples: ClassVar[tuple[Example, ...]]

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

    def working(self, step: LayerStep, of: str, index: Index) -> Working:
        """The kernel over its patch; backward, over the outputs that saw a pixel, or all that a weight was used for."""
        W, x, dy = step.p["W"], step.x, step.dy
        window = Window.over((x.shape[1], x.shape[2]), pair(self.kernel), pair(self.stride), self.padding)
        at: Any = index
        if of == "y":
            o, i, j, n = at
            c, (u, v, h, w) = across(len(x), window.seen_by(i, j))
            terms = [Operand.of("W", W, places(o, c, u, v)), Operand.of("x", x, places(c, h, w, n))]
            bias = [[Operand.at("b", step.p["b"], o)]] if self.bias else []
            formula = "y[o,i,j] = Σ[c,u,v] W[o,c,u,v] · x[c, i·s+u, j·s+v]"
            line = Line.sum("y", f"{formula} + b[o]" if bias else formula, terms, *bias)
        elif of == "dx":
            c, h, w, n = at
            o, (u, v, i, j) = across(len(dy), window.sent_to(h, w))
            terms = [Operand.of("W", W, places(o, c, u, v)), Operand.of("dy", dy, places(o, i, j, n))]
            line = Line.sum("dx", "dx[c, i·s+u, j·s+v] = Σ W[o,c,u,v] · dy[o,i,j]", terms)
        elif of == "W":
            o, c, u, v = at
            n, (h, w, i, j) = across(x.shape[3], window.met_at(u, v))
            terms = [Operand.of("dy", dy, places(o, i, j, n)), Operand.of("x", x, places(c, h, w, n))]
            line = Line.sum("dW", "dW[o,c,u,v] = Σ[i,j,n] dy[o,i,j,n] · x[c, i·s+u, j·s+v, n]", terms)
        else:
            line = bias_gradient(dy, at[0])
        return Working.made(of, index, [line], step.arrays[of][index])

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        kernel, stride = pair(self.kernel), pair(self.stride)
        padding = padding_of(self.padding, (x.shape[2], x.shape[3]), kernel, stride)
        x, even = twin_padding(torch, x, padding, 0.0)
        return torch.nn.functional.conv2d(x, p["W"], p.get("b"), stride, even)


def across(count: int, arrays: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
    """Arrays (T,) once for each of 0 … count − 1, one after the other, and which it is: all (count · T,)."""
    return np.repeat(np.arange(count), len(arrays[0])), tuple(np.tile(array, count) for array in arrays)


def bias_gradient(dy: Array, o: int) -> Line:
    """db[o] of a convolution: a bias is added to every pixel of its channel."""
    where = np.argwhere(np.ones(dy.shape[1:], bool))
    return Line.sum("db", "db[o] = Σ[i,j,n] dy[o,i,j,n]", [Operand.of("dy", dy, places(o, *where.T))])


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
