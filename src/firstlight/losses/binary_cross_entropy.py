"""Binary cross-entropy of the sigmoid.

Derivation

    σ(y) = 1 / (1 + e⁻ʸ)
    σ′(y) = σ(y) (1 − σ(y))               as of Sigmoid
    L = −Σₖ [tₖ log σ(yₖ) + (1 − tₖ) log(1 − σ(yₖ))] / K
    ∂L/∂yⱼ = −{tⱼ σ′(yⱼ) / σ(yⱼ) − (1 − tⱼ) σ′(yⱼ) / (1 − σ(yⱼ))} / K   log′ z = 1 / z; yⱼ is in one term of the sum
      = −{tⱼ (1 − σ(yⱼ)) − (1 − tⱼ) σ(yⱼ)} / K   with σ′
      = (σ(yⱼ) − tⱼ) / K
    dyⱼ = 1/N · ∂L/∂yⱼ = (σ(yⱼ) − tⱼ) / KN   the mean over the N images of a batch
    dy = (σ(y) − t) / KN                  all of them at once
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from firstlight.kernels.graph import Value
from firstlight.layers import Layer, Sigmoid
from firstlight.losses.base import LOSSES, ClassGraph, Loss
from firstlight.losses.loss_step import LossStep
from firstlight.losses.probabilities import rows, softmax
from firstlight.losses.targets import columns, twin_targets
from firstlight.types import Array, Shape
from firstlight.working import Index, Line, Operand, Working


@LOSSES.register
class BinaryCrossEntropy(Loss):
    """L = −Σₖ [tₖ log σ(yₖ) + (1 − tₖ) log(1 − σ(yₖ))] / K;  dy = (σ(y) − t) / KN, with σ(y) = 1 / (1 + e⁻ʸ)

    With one output, y is the logit of class 1 of two; with K, each is an independent yes or no (multi-label).
    """

    fuses: ClassVar[type[Layer] | None] = Sigmoid

    def values(self, y: Array, targets: Array) -> Array:
        # −log σ(y) = log(1 + e⁻ʸ), and −log(1 − σ(y)) is the same and y more: together log(1 + e⁻ʸ) + (1 − t) y,
        # written so that no exponent is positive.
        t = columns(targets, y)
        return (np.maximum(y, 0) - t * y + np.log1p(np.exp(-np.abs(y)))).mean(axis=0)

    def gradient(self, y: Array, targets: Array) -> Array:
        return (np.exp(_log_sigmoid(y)) - columns(targets, y)) / y.size

    def twin(self, torch: Any, y: Any, targets: Any) -> Any:
        t = twin_targets(torch, targets, y)
        return torch.nn.functional.binary_cross_entropy_with_logits(y, t, reduction="none").mean(dim=1)

    def probabilities(self, y: Array) -> Array:
        if len(y) == 1:
            return rows(np.exp(_log_sigmoid(np.concatenate((-y, y)))))
        # Given that exactly one of the classes is true: P(k) ∝ σₖ Πⱼ≠ₖ (1 − σⱼ) ∝ σₖ / (1 − σₖ) = exp yₖ.
        return rows(softmax(y))

    def working(self, step: LossStep, of: str, index: Index) -> Working:
        """Each output by itself: its sigmoid, and a yes or a no."""
        n, K = index[-1], len(step.y)
        y, t = step.column("y", n), step.column("t", n)
        if of == "value":
            yes = Operand("−log σ(y)", -_log_sigmoid(y.values), y.index)
            no = Operand("−log(1 − σ(y))", -_log_sigmoid(-y.values), y.index)
            share = [Operand("1/K", np.full(K, 1 / K)), *step.weighed(n, K)]
            other = Operand("1 − t", 1 - t.values, t.index)
            formula = "L = −Σₖ (tₖ log σ(yₖ) + (1 − tₖ) log(1 − σ(yₖ))) / K"
            line = Line.sum("L", formula, [t, yes, *share], [other, no, *share])
            return Working.made(of, index, [line], step.values[n], size=line.size + float(np.abs(y.values).mean()))
        k = index[0]
        sigmoid = float(np.exp(_log_sigmoid(y.values[k])))
        lines = [Line.expression("σ", "σ = 1 / (1 + exp(−yₖ))", sigmoid, Operand.at("y", step.y, *index))]
        dy = step.weight(n) * (sigmoid - t.values[k]) / step.y.size
        parts = [lines[0].operand, Operand.at("t", step.t, *index), Operand.number("K", K)]
        parts += [Operand.number("N", step.y.shape[1]), *step.weighed(n)]
        lines.append(Line.expression("dy", "dyₖ = (σ − tₖ) / (K N)", dy, *parts))
        return Working.made(of, index, lines, step.dy[index], size=step.weight(n) / step.y.size)

    def record_probabilities(self, graph: ClassGraph, y: Value) -> Value:
        # σ(−y) and σ(y) are the softmax of 0 and y.
        return graph.softmax(graph.concat([y], before=1) if y.shape == (1,) else y)

    def predicted(self, y: Array) -> Array:
        return 1 * (y[0] > 0) if len(y) == 1 else super().predicted(y)

    def units(self, output_shape: Shape, classes: int, labels: str) -> int:
        return 1 if classes == 2 and labels == "integer" and output_shape == (1,) else classes


def _log_sigmoid(y: Array) -> Array:
    return np.minimum(y, 0) - np.log1p(np.exp(-np.abs(y)))
