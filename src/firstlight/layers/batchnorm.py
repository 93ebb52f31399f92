"""Batch normalization (Ioffe & Szegedy 2015).

Derivation

Of one channel with m values xᵢ, in training:

    μ = Σᵢ xᵢ / m
    σ² = Σᵢ (xᵢ − μ)² / m
    s = 1 / √(σ² + ε)
    x̂ᵢ = (xᵢ − μ) s
    yᵢ = γ x̂ᵢ + β
    dβ = Σᵢ dyᵢ · ∂yᵢ/∂β = Σᵢ dyᵢ         the chain rule: β is in each y
    dγ = Σᵢ dyᵢ · ∂yᵢ/∂γ = Σᵢ dyᵢ x̂ᵢ
    dx̂ᵢ = γ dyᵢ
    ∂μ/∂xⱼ = 1 / m
    ∂s/∂xⱼ = −s³ (xⱼ − μ) / m             s′ = −s³ / 2 by σ², of which 2 (xⱼ − μ) / m is the derivative: what μ adds
                                          to it is zero, as Σᵢ (xᵢ − μ) = 0
      = −s² x̂ⱼ / m
    ∂x̂ᵢ/∂xⱼ = (δᵢⱼ − 1 / m) s + (xᵢ − μ) · ∂s/∂xⱼ   the rule for products; δᵢⱼ is 1 where i = j, else 0
      = s (δᵢⱼ − 1 / m − x̂ᵢ x̂ⱼ / m)
    dxⱼ = Σᵢ dx̂ᵢ · ∂x̂ᵢ/∂xⱼ                the chain rule: each x reaches the loss through all x̂
      = γ s (dyⱼ − Σᵢ dyᵢ / m − x̂ⱼ Σᵢ dyᵢ x̂ᵢ / m)
    dx = γ s (dy − dβ/m − x̂ dγ/m) in training

In evaluation μ and s are given numbers, which no x changes:

    ∂x̂ᵢ/∂xⱼ = δᵢⱼ s in evaluation
    dx = γ s dy in evaluation
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from firstlight.errors import ModelError
from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Backward, Example, Layer, Parameter, Pass, Tree, TwinPass
from firstlight.layers.layer_step import LayerStep
from firstlight.layers.normalization import moments, normalized
from firstlight.types import Array, Shape
from firstlight.working import Index, Line, Operand, Working, places


@LAYERS.register
class BatchNorm(Layer):
    """y = γ x̂ + β with x̂ = (x − μ) s and s = 1 / √(σ² + ε), for each channel over its m values (pixels and batch).

    dβ = Σᵢ dyᵢ,  dγ = Σᵢ dyᵢ x̂ᵢ,
    dx = γ s (dy − dβ/m − x̂ dγ/m) in training, with the batch's μ and σ²,
    dx = γ s dy in evaluation, with the running ones.

    momentum    the decay rate of the running statistics (as in Keras; PyTorch's momentum is 1 − this). The running
                variance follows the unbiased one, σ² m/(m−1).
    epsilon     ε, for numerical stability
    """

    momentum: Annotated[float, Ge(0), Le(1)] = 0.9
    epsilon: Annotated[float, Gt(0)] = 1e-5

    examples: ClassVar[tuple[Example, ...]]

    def parameters(self, input_shape: Shape) -> Mapping[str, Any]:
        shape = input_shape[:1]
        return {
            "gamma": Parameter(shape, "ones"),
            "beta": Parameter(shape),
            "mean": Parameter(shape, trainable=False),
            "var": Parameter(shape, "ones", trainable=False),
        }

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        flat = x.reshape(len(x), -1)
        m = flat.shape[1]
        training = run.training and run.path not in run.running_stats
        if training:
            must_vary(m, run.path)
            mean = flat.mean(axis=1)
            x_hat = flat - mean[:, None]
            var = _dot(x_hat, x_hat) / m
            # The only write to what was passed in: running statistics are learnt by being watched, not by a gradient,
            # so no optimizer could do it, and a second return value in every layer would serve this one alone.
            for running, value in ((p["mean"], mean), (p["var"], var * (m / (m - 1)))):
                running *= self.momentum
                running += (1 - self.momentum) * value
        else:
            x_hat = flat - p["mean"][:, None]
            var = p["var"]
        scale = 1 / np.sqrt(var + self.epsilon)
        x_hat *= scale[:, None]
        scale *= p["gamma"]
        y = x_hat * p["gamma"][:, None]
        y += p["beta"][:, None]

        def backward(dy: Array) -> tuple[Array | None, Tree]:
            dy = dy.reshape(flat.shape)
            dbeta, dgamma = dy.sum(axis=1), _dot(dy, x_hat)
            if training:
                dx = x_hat * (-dgamma / m)[:, None]
                dx += dy
                dx -= (dbeta / m)[:, None]
                dx *= scale[:, None]
            else:
                dx = dy * scale[:, None]
            return dx.reshape(x.shape), {"gamma": dgamma, "beta": dbeta}

        return y.reshape(x.shape), backward

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.batch_norm(x, p, self.momentum, self.epsilon, path)

    def working(self, step: LayerStep, of: str, index: Index) -> Working:
        """Mean and variance of the channel first, then x̂; backward, the two sums that all of the channel share."""
        x, axes = step.x.astype(np.float64), tuple(range(1, step.x.ndim))
        column = (-1, *(1 for _ in axes))
        if step.run.training and step.run.path not in step.run.running_stats:
            channel = places(index[0], *np.argwhere(np.ones(x.shape[1:], bool)).T)
            mean, var = x.mean(axis=axes), x.var(axis=axes)
            lines, group = moments(step.x, channel), channel
        else:
            mean, var = step.p["mean"], step.p["var"]
            kept = [Operand.at(name, step.p[name], index[0]) for name in ("mean", "var")]
            lines = [
                replace(Line.sum(symbol, f"{symbol} = {each.array}", [each]), says="as it was learnt in training")
                for symbol, each in zip(("μ", "σ²"), kept, strict=True)
            ]
            group = None
        scale = np.broadcast_to(1 / np.sqrt(var.reshape(column) + self.epsilon), x.shape)
        x_hat = (x - mean.reshape(column)) * scale
        return normalized(step, of, index, lines, x_hat, scale, group, self.epsilon)

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        training = run.training and run.path not in run.running_stats
        if training:
            must_vary(x.numel() // x.shape[1], run.path)
        batch_norm = run.batch_norm or torch.nn.functional.batch_norm
        return batch_norm(x, p["mean"], p["var"], p["gamma"], p["beta"], training, 1 - self.momentum, self.epsilon)


def must_vary(m: int, path: str) -> None:
    """Raise ModelError where a channel has no more than m = 1 value to train on."""
    if m == 1:
        raise ModelError(
            f"{path or 'BatchNorm'}: one value per channel has no variance to train on. "
            "Choose a batch size of at least 2 (for each process) that leaves no single sample over."
        )


def _dot(a: Array, b: Array) -> Array:
    """Σₘ a[c,m] b[c,m] for each channel, by BLAS: without a temporary, and closer in float32 than einsum."""
    return np.matmul(a[:, None, :], b[:, :, None])[:, 0, 0]


BatchNorm.examples = (
    Example(BatchNorm(), (4,)),
    Example(BatchNorm(momentum=0.5, epsilon=1e-3), (3, 2, 5)),
    Example(BatchNorm(name="norm"), (1, 4, 4)),
)
