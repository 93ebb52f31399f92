"""A fully connected layer.

Derivation

    y[k,n] = b[k] + Σᵢ W[k,i] x[i,n]      output k of image n
    dW[k,i] = Σₙ dy[k,n] · ∂y[k,n]/∂W[k,i]   the chain rule: a weight reaches the loss through its output of each image
      = Σₙ dy[k,n] x[i,n]
    db[k] = Σₙ dy[k,n] · ∂y[k,n]/∂b[k] = Σₙ dy[k,n]
    dx[i,n] = Σₖ dy[k,n] · ∂y[k,n]/∂x[i,n]   a number of x reaches it through all outputs of its image
      = Σₖ W[k,i] dy[k,n]

In matrices, a column an image, these sums are products:

    y = W x + b
    dW = dy xᵀ
    db = Σₙ dy
    dx = Wᵀ dy
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Backward, Example, Layer, Parameter, Pass, Tree, TwinPass
from firstlight.layers.initializers import Initializer
from firstlight.layers.layer_step import LayerStep
from firstlight.types import Array, Shape
from firstlight.working import Index, Line, Operand, Working, places


@LAYERS.register
class Dense(Layer):
    """y = W x + b, a column per image.

    dW = dy xᵀ,  db = Σₙ dy,  dx = Wᵀ dy

    units        the number of outputs
    bias         whether there is a bias b
    initializer  the initializer of W
    l1, l2       weights of the penalties l1 Σ|W| and l2 Σ W²
    """

    units: Annotated[int, Ge(1)]
    bias: bool = True
    initializer: Initializer = "glorot_uniform"
    l1: Annotated[float, Ge(0)] = 0.0
    l2: Annotated[float, Ge(0)] = 0.0

    examples: ClassVar[tuple[Example, ...]]

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 1:
            raise self.misfit(input_shape, "it takes a vector of features", "Put Flatten before it.")
        return (self.units,)

    def parameters(self, input_shape: Shape) -> Mapping[str, Any]:
        (inputs,) = input_shape
        W = Parameter((self.units, inputs), self.initializer, inputs, self.units, kernel=True, l1=self.l1, l2=self.l2)
        return {"W": W, "b": Parameter((self.units,))} if self.bias else {"W": W}

    def multiply_adds(self, input_shape: Shape) -> int:
        return self.units * input_shape[0]

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        W = p["W"]
        y = W @ x
        if self.bias:
            y += p["b"][:, None]

        def backward(dy: Array) -> tuple[Array | None, Tree]:
            grads = {"W": dy @ x.T}
            if self.bias:
                grads["b"] = dy.sum(axis=1)
            return (W.T @ dy if run.needs_dx else None), grads

        return y, backward

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.product(x, p["W"], p.get("b"))

    def working(self, step: LayerStep, of: str, index: Index) -> Working:
        """A row of W times a column of x; backward, a column of W times one of dy, or a row of dy times one of x."""
        W, x, dy = step.p["W"], step.x, step.dy
        if of == "y":
            o, n = index
            at = np.arange(len(x))
            terms = [Operand.of("W", W, places(o, at)), Operand.of("x", x, places(at, n))]
            bias = [[Operand.at("b", step.p["b"], o)]] if self.bias else []
            line = Line.sum("y", "y[o] = Σᵢ W[o,i] x[i] + b[o]" if bias else "y[o] = Σᵢ W[o,i] x[i]", terms, *bias)
        elif of == "dx":
            i, n = index
            at = np.arange(len(dy))
            terms = [Operand.of("W", W, places(at, i)), Operand.of("dy", dy, places(at, n))]
            line = Line.sum("dx", "dx[i] = Σₒ W[o,i] dy[o]", terms)
        else:
            at = np.arange(dy.shape[1])
            terms = [Operand.of("dy", dy, places(index[0], at))]
            if of == "W":
                terms.append(Operand.of("x", x, places(index[1], at)))
            line = Line.sum(f"d{of}", "dW[o,i] = Σₙ dy[o,n] x[i,n]" if of == "W" else "db[o] = Σₙ dy[o,n]", terms)
        return Working.made(of, index, [line], step.arrays[of][index])

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        return torch.nn.functional.linear(x, p["W"], p.get("b"))


Dense.examples = (
    Example(Dense(3), (5,)),
    Example(Dense(4, bias=False, initializer="he_normal"), (2,)),
    Example(Dense(1, l1=1e-4, l2=1e-3, name="head"), (6,)),
)
