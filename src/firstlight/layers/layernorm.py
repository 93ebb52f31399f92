"""Layer normalization (Ba et al. 2016).

Derivation

Of the K features xᵢ of a sample (of an image, of a pixel):

    μ = Σᵢ xᵢ / K
    σ² = Σᵢ (xᵢ − μ)² / K
    s = 1 / √(σ² + ε)
    x̂ᵢ = (xᵢ − μ) s
    yᵢ = γᵢ x̂ᵢ + βᵢ
    dβᵢ = Σₙ dyᵢ                          the chain rule: βᵢ and γᵢ are in yᵢ of all samples n
    dγᵢ = Σₙ dyᵢ x̂ᵢ
    dx̂ᵢ = γᵢ dyᵢ
    ∂s/∂xⱼ = −s³ (xⱼ − μ) / K = −s² x̂ⱼ / K   as of BatchNorm
    ∂x̂ᵢ/∂xⱼ = s (δᵢⱼ − 1 / K − x̂ᵢ x̂ⱼ / K)   the rule for products; δᵢⱼ is 1 where i = j, else 0
    dxⱼ = Σᵢ dx̂ᵢ · ∂x̂ᵢ/∂xⱼ                the chain rule: each x reaches the loss through all x̂
      = s (dx̂ⱼ − Σᵢ dx̂ᵢ / K − x̂ⱼ Σᵢ dx̂ᵢ x̂ᵢ / K)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Gt

from firstlight.kernels.graph import Graph, Value
from firstlight.layers.base import LAYERS, Backward, Example, Layer, Parameter, Pass, Tree, TwinPass
from firstlight.layers.groupnorm import normalize, standardized
from firstlight.layers.layer_step import LayerStep
from firstlight.layers.normalization import moments, normalized
from firstlight.types import Array, Shape
from firstlight.working import Index, Working, places


@LAYERS.register
class LayerNorm(Layer):
    """y = γ x̂ + β with x̂ = (x − μ) s and s = 1 / √(σ² + ε): μ, σ² of each sample, over its K features.

    dβᵢ = Σₙ dyᵢ,  dγᵢ = Σₙ dyᵢ x̂ᵢ,  dxⱼ = s (dx̂ⱼ − Σᵢ dx̂ᵢ / K − x̂ⱼ Σᵢ dx̂ᵢ x̂ᵢ / K) with dx̂ᵢ = γᵢ dyᵢ.

    Of an image, over the K channels of each pixel, as Keras does and ConvNeXt (Liu et al. 2022); over all its values,
    it is GroupNorm with 1 group. Evaluation is the same as training.

    epsilon  ε, for numerical stability
    """

    epsilon: Annotated[float, Gt(0)] = 1e-5

    examples: ClassVar[tuple[Example, ...]]

    def parameters(self, input_shape: Shape) -> Mapping[str, Any]:
        return {"gamma": Parameter(input_shape[:1], "ones"), "beta": Parameter(input_shape[:1])}

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        return normalize(p, x, (1, len(x), 1, x.size // len(x)), self.epsilon)

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        return graph.apply("normalize_sample", x, p["gamma"], p["beta"], 1, False, self.epsilon)

    def working(self, step: LayerStep, of: str, index: Index) -> Working:
        """Mean and variance over the features of the sample, or over the channels of the pixel, as GroupNorm's."""
        rest = index[1:] if of in ("y", "dx") else (0,) * (step.x.ndim - 1)
        group = places(np.arange(len(step.x)), *rest)
        x_hat, scale = standardized(step.x.astype(np.float64), (0,), self.epsilon)
        return normalized(step, of, index, moments(step.x, group), x_hat, scale, group, self.epsilon)

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        last = torch.nn.functional.layer_norm(x.movedim(1, -1), p["gamma"].shape, p["gamma"], p["beta"], self.epsilon)
        return last.movedim(-1, 1)


LayerNorm.examples = (
    Example(LayerNorm(), (5,)),
    Example(LayerNorm(epsilon=1e-3), (3, 2, 4)),
    Example(LayerNorm(name="norm"), (2, 1, 3)),
)
