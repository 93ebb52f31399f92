"""Cross-entropy of the softmax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from firstlight.kernels.graph import Graph, Value
from firstlight.layers import Layer, Softmax
from firstlight.losses.base import Loss
from firstlight.losses.probabilities import log_softmax, rows, softmax
from firstlight.losses.targets import columns
from firstlight.options import require_number
from firstlight.types import Array


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """−Σₖ tₖ log pₖ with p = softmax(y);  dy = (p − t) / N

    label_smoothing  ε: t becomes (1 − ε) t + ε/K (Szegedy et al. 2015)
    """

    label_smoothing: float = 0.0

    name: ClassVar[str] = "cross-entropy"
    fuses: ClassVar[type[Layer] | None] = Softmax

    def __post_init__(self) -> None:
        allowed = "a number from 0 to below 1"
        require_number("loss", "label_smoothing", self.label_smoothing, lambda epsilon: 0 <= epsilon < 1, allowed)

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

    def _smoothed(self, y: Array, targets: Array) -> Array:
        t = columns(targets, y)
        return t if self.label_smoothing == 0 else (1 - self.label_smoothing) * t + self.label_smoothing / len(y)
