"""Cross-entropy of the softmax.

Derivation

    pₖ = exp yₖ / Σⱼ exp yⱼ
    log pₖ = yₖ − log(Σⱼ exp yⱼ)
    L = −Σₖ tₖ log pₖ = log(Σₖ exp yₖ) − Σₖ tₖ yₖ   as Σₖ tₖ = 1, also with smoothed labels
    ∂L/∂yⱼ = exp yⱼ / Σₖ exp yₖ − tⱼ      log′ z = 1 / z, and the chain rule
      = pⱼ − tⱼ
    dyⱼ = 1/N · ∂L/∂yⱼ = (pⱼ − tⱼ) / N    the mean over the N images of a batch
    dy = (p − t) / N                      all of them at once
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Lt

from firstlight.kernels.graph import Graph, Value
from firstlight.layers import Layer, Softmax
from firstlight.layers.softmax import softmax_lines
from firstlight.losses.base import LOSSES, Loss
from firstlight.losses.loss_step import LossStep
from firstlight.losses.probabilities import log_softmax, rows, softmax
from firstlight.losses.targets import columns
from firstlight.types import Array
from firstlight.working import Index, Line, Operand, Working


@LOSSES.register
class CrossEntropy(Loss):
    """L = −Σₖ tₖ log pₖ with p = softmax(y);  dy = (p − t) / N

    label_smoothing  ε: t becomes (1 − ε) t + ε/K (Szegedy et al. 2015)
    """

    label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0

    fuses: ClassVar[type[Layer] | None] = Softmax

    def values(self, y: Array, targets: Array) -> Array:
        return -(self._smoothed(y, targets) * log_softmax(y)).sum(axis=0)

    def gradient(self, y: Array, targets: Array) -> Array:
        return (softmax(y) - self._smoothed(y, targets)) / y.shape[1]

    def twin(self, torch: Any, y: Any, targets: Any) -> Any:
        smoothing = self.label_smoothing
        return torch.nn.functional.cross_entropy(y, targets, reduction="none", label_smoothing=smoothing)

    def record(self, graph: Graph, y: Value) -> None:
        graph.cross_entropy(y, self.label_smoothing)

    def probabilities(self, y: Array) -> Array:
        return rows(softmax(y))

    def working(self, step: LossStep, of: str, index: Index) -> Working:
        """The softmax first; then the logarithm of the target's probability, or p − t."""
        n, N = index[-1], step.y.shape[1]
        k = int(step.t[:, n].argmax()) if of == "value" else index[0]
        y = step.column("y", n)
        t = Operand("t", self._smoothed(step.y.astype(np.float64), step.targets)[:, n], y.index)
        lines = softmax_lines("y", "p", y, k)
        if of == "value":
            logs = Operand("−log p", -log_softmax(y.values[:, None])[:, 0], y.index)
            line = Line.sum("L", "L = −Σₖ tₖ log pₖ", [t, logs, *step.weighed(n, len(step.y))])
            return Working.made(of, index, [*lines, line], step.values[n], size=line.size + 1)
        dy = step.weight(n) * (lines[-1].value - t.values[k]) / N
        parts = [lines[-1].operand, Operand.number("t", t.values[k]), Operand.number("N", N), *step.weighed(n)]
        lines.append(Line.expression("dy", "dyₖ = (pₖ − tₖ) / N", dy, *parts))
        return Working.made(of, index, lines, step.dy[index], size=step.weight(n) / N)

    def _smoothed(self, y: Array, targets: Array) -> Array:
        t = columns(targets, y)
        return t if self.label_smoothing == 0 else (1 - self.label_smoothing) * t + self.label_smoothing / len(y)
