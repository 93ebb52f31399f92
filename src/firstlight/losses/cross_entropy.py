"""Cross-entropy of the softmax."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Lt

from firstlight.kernels.graph import Graph, Value
from firstlight.layers import Layer, Softmax
from firstlight.losses.base import LOSSES, Loss
from firstlight.losses.probabilities import log_softmax, rows, softmax
from firstlight.losses.targets import columns
from firstlight.types import Array


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

    def _smoothed(self, y: Array, targets: Array) -> Array:
        t = columns(targets, y)
        return t if self.label_smoothing == 0 else (1 - self.label_smoothing) * t + self.label_smoothing / len(y)
