"""Group normalization (Wu & He 2018).

Derivation

Of one group of a sample, with the channels c, the pixels p, and K values in all:

    μ = Σ[c,p] x[c,p] / K
    σ² = Σ[c,p] (x[c,p] − μ)² / K
    s = 1 / √(σ² + ε)
    x̂[c,p] = (x[c,p] − μ) s
    y[c,p] = γ[c] x̂[c,p] + β[c]
    dβ[c] = Σ[p,n] dy[c,p]                the chain rule: β and γ are in all pixels of a channel, of all samples n
    dγ[c] = Σ[p,n] dy[c,p] x̂[c,p]
    dx̂[c,p] = γ[c] dy[c,p]
    ∂s/∂x[e,q] = −s³ (x[e,q] − μ) / K = −s² x̂[e,q] / K   as of BatchNorm
    ∂x̂[c,p]/∂x[e,q] = s (δ[c,e] δ[p,q] − 1 / K − x̂[c,p] x̂[e,q] / K)   the rule for products; δ is 1 where both
                                          indices are equal, else 0
    dx[e,q] = Σ[c,p] dx̂[c,p] · ∂x̂[c,p]/∂x[e,q]   the chain rule: each x reaches the loss through all x̂
      = s (dx̂[e,q] − Σ[c,p] dx̂[c,p] / K − x̂[e,q] Σ[c,p] dx̂[c,p] x̂[c,p] / K)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Backward, Example, Layer, Parameter, Pass, Tree, TwinPass
from firstlight.layers.layer_step import LayerStep
from firstlight.layers.normalization import moments, normalized
from firstlight.types import Array, Shape
from firstlight.working import Index, Working, places


@LAYERS.register
class GroupNorm(Layer):
    """y = γ x̂ + β with x̂ = (x − μ) s and s = 1 / √(σ² + ε): μ, σ² of each sample, over K values, a group's.

    dβ[c] = Σ[p,n] dy[c,p],  dγ[c] = Σ[p,n] dy[c,p] x̂[c,p],  dx̂[c,p] = γ[c] dy[c,p],
    dx[e,q] = s (dx̂[e,q] − Σ[c,p] dx̂[c,p] / K − x̂[e,q] Σ[c,p] dx̂[c,p] x̂[c,p] / K), of channels c, e and pixels p, q.

    A group is so many channels one after another, with their pixels; γ and β are of each channel. Evaluation is the
    same as training, and nothing depends on the other samples of a batch, or on how many these are.

    groups   the number of groups of channels: 1 for all together, the number of channels for each by itself
    epsilon  ε, for numerical stability
    """

    groups: Annotated[int, Ge(1)] = 8
    epsilon: Annotated[float, Gt(0)] = 1e-5

    examples: ClassVar[tuple[Example, ...]]

    def output_shape(self, input_shape: Shape) -> Shape:
        if input_shape[0] % self.groups:
            reason = f"its {input_shape[0]} channels cannot be divided into {self.groups} groups"
            raise self.misfit(input_shape, reason, "Choose a number of groups that divides the channels.")
        return input_shape

    def parameters(self, input_shape: Shape) -> Mapping[str, Any]:
        return {"gamma": Parameter(input_shape[:1], "ones"), "beta": Parameter(input_shape[:1])}

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        return normalize(
            p, x, (self.groups, len(x) // self.groups, math.prod(x.shape[1:-1]), x.shape[-1]), self.epsilon
        )

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.apply("normalize_sample", x, p["gamma"], p["beta"], self.groups, True, self.epsilon)

    def working(self, step: LayerStep, of: str, index: Index) -> Working:
        """Mean and variance of the sample's group first, then x̂; backward, the two sums that all of the group share."""
        size = len(step.x) // self.groups
        start = index[0] // size * size if of in ("y", "dx") else 0
        inside = np.argwhere(np.ones((size, *step.x.shape[1:-1]), bool))
        group = places(start + inside[:, 0], *inside[:, 1:].T, index[-1] if of in ("y", "dx") else 0)
        x = step.x.astype(np.float64).reshape(self.groups, size, -1, step.x.shape[-1])
        x_hat, scale = (array.reshape(step.x.shape) for array in standardized(x, (1, 2), self.epsilon))
        return normalized(step, of, index, moments(step.x, group), x_hat, scale, group, self.epsilon)

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        return torch.nn.functional.group_norm(x, self.groups, p["gamma"], p["beta"], self.epsilon)


def standardized(x: Array, axes: tuple[int, ...], epsilon: float) -> tuple[Array, Array]:
    """x̂ of x, with the mean and the variance over some axes, and the s of every number, in the shape of x."""
    scale = 1 / np.sqrt(x.var(axes, keepdims=True) + epsilon)
    return (x - x.mean(axes, keepdims=True)) * scale, np.broadcast_to(scale, x.shape)


def normalize(p: Tree, x: Array, shape: Shape, epsilon: float) -> tuple[Array, Backward]:
    """y and its gradient for x seen in the `shape` (groups, channels, pixels, m), with statistics over the middle."""
    groups, channels, _, _ = shape
    whole, gamma = x.reshape(shape), p["gamma"].reshape(groups, channels, 1, 1)
    x_hat = whole - whole.mean(axis=(1, 2), keepdims=True)
    scale = 1 / np.sqrt(np.square(x_hat).mean(axis=(1, 2), keepdims=True) + epsilon)
    x_hat *= scale

    def backward(dy: Array) -> tuple[Array | None, Tree]:
        dy = dy.reshape(shape)
        products = dy * x_hat
        grads = {"gamma": products.sum(axis=(2, 3)).ravel(), "beta": dy.sum(axis=(2, 3)).ravel()}
        level, lean = ((gamma * a).mean(axis=(1, 2), keepdims=True) for a in (dy, products))
        return (scale * (gamma * dy - level - x_hat * lean)).reshape(x.shape), grads

    return (gamma * x_hat + p["beta"].reshape(gamma.shape)).reshape(x.shape), backward


GroupNorm.examples = (
    Example(GroupNorm(2), (4, 3, 2)),
    Example(GroupNorm(1, epsilon=1e-3), (3, 2, 5)),
    Example(GroupNorm(3, name="norm"), (6,)),
    Example(GroupNorm(2), (2, 4, 4)),
)
