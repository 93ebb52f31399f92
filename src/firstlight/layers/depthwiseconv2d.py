"""Depthwise convolution: each filter sees one channel (Howard et al. 2017, MobileNets).

Derivation

The zeros at the border are part of x here. s is the stride; filter o sees the channel ⌊o/m⌋.

    y[o,i,j] = b[o] + Σ[u,v] W[o,u,v] · x[⌊o/m⌋, i·s+u, j·s+v]
    dW[o,u,v] = Σ[i,j] dy[o,i,j] · ∂y[o,i,j]/∂W[o,u,v]   the chain rule: a weight is used at all places of y
      = Σ[i,j] dy[o,i,j] · x[⌊o/m⌋, i·s+u, j·s+v]
    db[o] = Σ[i,j] dy[o,i,j] · ∂y[o,i,j]/∂b[o] = Σ[i,j] dy[o,i,j]
    dx[c,p,q] = Σ[o,i,j] dy[o,i,j] · ∂y[o,i,j]/∂x[c,p,q]   a pixel lies under the windows of its channel's filters
      = Σ[⌊o/m⌋ = c, i·s+u = p, j·s+v = q] W[o,u,v] · dy[o,i,j]   over the o, i, j, u, v that fit c, p and q
    dx[⌊o/m⌋, i·s+u, j·s+v] += W[o,u,v] · dy[o,i,j]   the same sum term by term

dW and db of a batch are the sums of those of its images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge

from firstlight.kernels import Pair, output_size, pad, taps
from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Backward, Example, Layer, Parameter, Pass, Tree, TwinPass
from firstlight.layers.conv2d import across, bias_gradient
from firstlight.layers.initializers import Initializer
from firstlight.layers.layer_step import LayerStep
from firstlight.layers.window import Border, Size, Window, padding_of, pair, slide, twin_padding
from firstlight.types import Array, Shape
from firstlight.working import Index, Line, Operand, Working, places


@LAYERS.register
class DepthwiseConv2D(Layer):
    """y[o,i,j] = b[o] + Σ[u,v] W[o,u,v] · x[⌊o/m⌋, i·s+u, j·s+v]: m filters for each channel, with zeros around x.

    dW[o,u,v] = Σ[i,j] dy[o,i,j] · x[⌊o/m⌋, i·s+u, j·s+v],  db[o] = Σ[i,j] dy[o,i,j],  both summed over the images, too;
    dx[⌊o/m⌋, i·s+u, j·s+v] += W[o,u,v] · dy[o,i,j]

    kernel       the size of a filter (rows, columns); one number for a square
    stride       s: the stride (down, to the right); one number for both
    padding      zeros around x: none ("valid"), as many as give y the size of x divided by the stride ("same"), or
                 their number at each side
    multiplier   m: the filters for each channel of x
    bias         whether there is a bias b
    initializer  the initializer of W
    l1, l2       weights of the penalties l1 Σ|W| and l2 Σ W²
    """

    kernel: Size = 3
    stride: Size = 1
    padding: Border = "valid"
    multiplier: Annotated[int, Ge(1)] = 1
    bias: bool = True
    initializer: Initializer = "glorot_uniform"
    l1: Annotated[float, Ge(0)] = 0.0
    l2: Annotated[float, Ge(0)] = 0.0

    examples: ClassVar[tuple[Example, ...]]

    def output_shape(self, input_shape: Shape) -> Shape:
        size = slide(self, input_shape, pair(self.kernel), pair(self.stride), self.padding)
        return (input_shape[0] * self.multiplier, *size)

    def parameters(self, input_shape: Shape) -> Mapping[str, Any]:
        filters, area = input_shape[0] * self.multiplier, math.prod(pair(self.kernel))
        shape = (filters, 1, *pair(self.kernel))
        W = Parameter(shape, self.initializer, area, area * self.multiplier, kernel=True, l1=self.l1, l2=self.l2)
        return {"W": W, "b": Parameter((filters,))} if self.bias else {"W": W}

    def multiply_adds(self, input_shape: Shape) -> int:
        return math.prod(self.output_shape(input_shape)) * math.prod(pair(self.kernel))

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        W, m, padding = p["W"], self.multiplier, self._padding(x.shape)
        ((top, _), (left, _)), (C, height, width, N) = padding, x.shape
        padded = pad(x, padding)
        kernel, stride = pair(self.kernel), pair(self.stride)
        out = output_size((height, width), kernel, stride, padding)
        y: Array = np.zeros((C, m, *out, N), x.dtype)
        for tap, seen in taps(kernel, stride, out):
            y += _column(W, tap, C) * padded[seen][:, None]
        y = y.reshape(C * m, *out, N)
        if self.bias:
            y += p["b"][:, None, None, None]

        def backward(dy: Array) -> tuple[Array | None, Tree]:
            of_channels = dy.reshape(C, m, *out, N)
            dW, dx = np.empty_like(W), np.zeros_like(padded)
            for (r, s), seen in taps(kernel, stride, out):
                dW[:, 0, r, s] = np.einsum("cmijn,cijn->cm", of_channels, padded[seen]).ravel()
                dx[seen] += (_column(W, (r, s), C) * of_channels).sum(axis=1)
            grads = {"W": dW}
            if self.bias:
                grads["b"] = dy.reshape(len(dy), -1).sum(axis=1)
            return np.ascontiguousarray(dx[:, top : top + height, left : left + width]), grads

        return y, backward

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.apply("depthwise_conv2d", x, p["W"], p.get("b"), pair(self.stride), self._padding(x.shape))

    def working(self, step: LayerStep, of: str, index: Index) -> Working:
        """As a convolution's, of the one channel that a filter sees."""
        W, x, dy, m = step.p["W"], step.x, step.dy, self.multiplier
        window = Window.over((x.shape[1], x.shape[2]), pair(self.kernel), pair(self.stride), self.padding)
        at: Any = index
        if of == "y":
            o, i, j, n = at
            u, v, h, w = window.seen_by(i, j)
            terms = [Operand.of("W", W, places(o, 0, u, v)), Operand.of("x", x, places(o // m, h, w, n))]
            bias = [[Operand.at("b", step.p["b"], o)]] if self.bias else []
            formula = "y[o,i,j] = Σ[u,v] W[o,u,v] · x[⌊o/m⌋, i·s+u, j·s+v]"
            line = Line.sum("y", f"{formula} + b[o]" if bias else formula, terms, *bias)
        elif of == "dx":
            c, h, w, n = at
            k, (u, v, i, j) = across(m, window.sent_to(h, w))
            terms = [Operand.of("W", W, places(c * m + k, 0, u, v)), Operand.of("dy", dy, places(c * m + k, i, j, n))]
            line = Line.sum("dx", "dx[⌊o/m⌋, i·s+u, j·s+v] = Σ W[o,u,v] · dy[o,i,j]", terms)
        elif of == "W":
            o, _, u, v = at
            n, (h, w, i, j) = across(x.shape[3], window.met_at(u, v))
            terms = [Operand.of("dy", dy, places(o, i, j, n)), Operand.of("x", x, places(o // m, h, w, n))]
            line = Line.sum("dW", "dW[o,u,v] = Σ[i,j,n] dy[o,i,j,n] · x[⌊o/m⌋, i·s+u, j·s+v, n]", terms)
        else:
            line = bias_gradient(dy, at[0])
        return Working.made(of, index, [line], step.arrays[of][index])

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        x, even = twin_padding(torch, x, self._padding(x.shape[1:]), 0.0)
        return torch.nn.functional.conv2d(x, p["W"], p.get("b"), pair(self.stride), even, groups=x.shape[1])

    def _padding(self, shape: Shape) -> tuple[Pair, Pair]:
        return padding_of(self.padding, (shape[1], shape[2]), pair(self.kernel), pair(self.stride))


def _column(W: Array, tap: Pair, channels: int) -> Array:
    """The weights of a tap, (C, m, 1, 1, 1)."""
    column: Array = W[:, 0, tap[0], tap[1]].reshape(channels, -1, 1, 1, 1)
    return column


DepthwiseConv2D.examples = (
    Example(DepthwiseConv2D(), (2, 5, 6)),
    Example(DepthwiseConv2D(3, padding="same", multiplier=2), (3, 4, 5)),
    Example(DepthwiseConv2D((2, 4), padding="same", bias=False), (3, 5, 6)),
    Example(DepthwiseConv2D(3, stride=2, padding=1, initializer="he_normal"), (2, 7, 6)),
    Example(DepthwiseConv2D((3, 2), stride=(1, 3), padding=((2, 0), (0, 1)), name="depthwise"), (2, 4, 8)),
    Example(DepthwiseConv2D(5, padding=4, l1=1e-4, l2=1e-4), (1, 3, 3)),
)
