"""Separable convolution: a depthwise one for where, and a pointwise one for what (Chollet 2016, Xception).

Derivation

    z = D ∗ x                             as of DepthwiseConv2D, without a bias
    y[f,i,j] = b[f] + Σ[o] W[f,o] · z[o,i,j]   in each pixel a product of a matrix and a vector: y = W z + b
    dW[f,o] = Σ[i,j] dy[f,i,j] · ∂y[f,i,j]/∂W[f,o]   the chain rule: a weight is used in all pixels
      = Σ[i,j] dy[f,i,j] · z[o,i,j]
    db[f] = Σ[i,j] dy[f,i,j] · ∂y[f,i,j]/∂b[f] = Σ[i,j] dy[f,i,j]
    dz[o,i,j] = Σ[f] dy[f,i,j] · ∂y[f,i,j]/∂z[o,i,j] = Σ[f] W[f,o] · dy[f,i,j]

dz is what comes in as dy where DepthwiseConv2D's derivation goes on to dD and dx. dW, db and dD of a batch are the sums
of those of its images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from annotated_types import Ge

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Backward, Example, Layer, Pass, Tree, TwinPass
from firstlight.layers.conv2d import Conv2D
from firstlight.layers.depthwiseconv2d import DepthwiseConv2D
from firstlight.layers.initializers import Initializer
from firstlight.layers.layer_step import LayerStep
from firstlight.layers.window import Border, Size
from firstlight.types import Array, Shape
from firstlight.working import Index, Working


@LAYERS.register
class SeparableConv2D(Layer):
    """y = W z + b with z = D ∗ x: DepthwiseConv2D without bias, whose weights are called depthwise, then 1 × 1 Conv2D.

    dW[f,o] = Σ[i,j] dy[f,i,j] · z[o,i,j],  db[f] = Σ[i,j] dy[f,i,j],  dz[o,i,j] = Σ[f] W[f,o] · dy[f,i,j];  dD and dx
    follow from dz as DepthwiseConv2D's dW and dx from its dy.

    For C channels, F filters and kernels of k pixels, C k + C F weights in the place of C k F.

    filters      F: the channels of y
    kernel       the size of a depthwise filter (rows, columns); one number for a square
    stride       the stride (down, to the right); one number for both
    padding      zeros around x: none ("valid"), as many as give y the size of x divided by the stride ("same"), or
                 their number at each side
    multiplier   the depthwise filters for each channel of x
    bias         whether there is a bias b
    initializer  the initializer of both
    l1, l2       weights of the penalties l1 Σ|W| and l2 Σ W², of both
    """

    filters: Annotated[int, Ge(1)]
    kernel: Size = 3
    stride: Size = 1
    padding: Border = "valid"
    multiplier: Annotated[int, Ge(1)] = 1
    bias: bool = True
    initializer: Initializer = "glorot_uniform"
    l1: Annotated[float, Ge(0)] = 0.0
    l2: Annotated[float, Ge(0)] = 0.0

    examples: ClassVar[tuple[Example, ...]]

    @property
    def _both(self) -> tuple[DepthwiseConv2D, Conv2D]:
        drawn = (self.initializer, self.l1, self.l2)
        window = (self.kernel, self.stride, self.padding, self.multiplier)
        return DepthwiseConv2D(*window, False, *drawn), Conv2D(self.filters, 1, 1, "valid", self.bias, *drawn)

    def output_shape(self, input_shape: Shape) -> Shape:
        return (self.filters, *replace(self._both[0], name=self.name).output_shape(input_shape)[1:])

    def parameters(self, input_shape: Shape) -> Mapping[str, Any]:
        depthwise, pointwise = self._both
        first = depthwise.parameters(input_shape)["W"]
        return {"depthwise": first, **pointwise.parameters(depthwise.output_shape(input_shape))}

    def multiply_adds(self, input_shape: Shape) -> int:
        depthwise, pointwise = self._both
        return depthwise.multiply_adds(input_shape) + pointwise.multiply_adds(depthwise.output_shape(input_shape))

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        depthwise, pointwise = self._both
        z, backward_first = depthwise.forward({"W": p["depthwise"]}, x, run)
        y, backward_second = pointwise.forward(p, z, replace(run, needs_dx=True))

        def backward(dy: Array) -> tuple[Array | None, Tree]:
            dz, grads = backward_second(dy)
            assert dz is not None
            dx, first = backward_first(dz)
            return dx, {"depthwise": first["W"], **grads}

        return y, backward

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        depthwise, pointwise = self._both
        return pointwise.record(graph, p, depthwise.record(graph, {"W": p["depthwise"]}, x, path), path)

    def working(self, step: LayerStep, of: str, index: Index) -> Working:
        """That of the one of the two that the number is of; z is what the depthwise one gives."""
        depthwise, pointwise = self._both
        p = {"W": step.p["depthwise"]}
        z, first = depthwise.forward(p, step.x, replace(step.run, watch=None))
        _, second = pointwise.forward(step.p, z, replace(step.run, watch=None, needs_dx=True))
        dz, gradients = second(step.dy)
        assert dz is not None
        if of in ("dx", "depthwise"):
            dx, by_first = first(dz)
            assert dx is not None
            inner = replace(step, layer=depthwise, p=p, y=z, dy=dz, dx=dx, gradients=by_first)
            return depthwise.working(inner, "W" if of == "depthwise" else of, index).called(
                {"dy": "dz", "W": "depthwise"}, of
            )
        outer = replace(step, layer=pointwise, x=z, dx=dz, gradients=gradients)
        return pointwise.working(outer, of, index).called({"x": "z"}, of)

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        depthwise, pointwise = self._both
        return pointwise.twin(torch, p, depthwise.twin(torch, {"W": p["depthwise"]}, x, run), run)


SeparableConv2D.examples = (
    Example(SeparableConv2D(4), (2, 5, 6)),
    Example(SeparableConv2D(3, stride=2, padding="same", multiplier=2, bias=False), (2, 5, 4)),
    Example(SeparableConv2D(2, (3, 2), padding=1, l2=1e-4, name="block"), (3, 4, 3)),
)
