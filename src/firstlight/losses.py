"""Losses: a number to make small, its gradient by the net's outputs, and the probabilities that the outputs mean.

Outputs y are (K, N), a column a sample. Targets t are integer labels (N,), or one-hot or soft columns (K, N) that sum
to one. Losses and gradients are means over the batch; with weights, of each sample's loss by its weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from firstlight.errors import ModelError
from firstlight.kernels.graph import Graph, Value
from firstlight.layers import Activation, Chain, Flatten, Layer, Reshape, Sigmoid, Softmax
from firstlight.options import choose, require_number
from firstlight.types import Array, Shape


class ClassGraph(Protocol):
    """What `Loss.record_probabilities` writes on: `export.inference_graph.InferenceGraph`."""

    def softmax(self, x: Value) -> Value: ...

    def concat(self, parts: Sequence[Value], before: int = 0, after: int = 0) -> Value: ...

    def estimates(self, x: Value) -> Value: ...


@dataclass(frozen=True)
class Loss:
    """The base of all losses.

    name      what an experiment calls it
    fuses     the type of the final activation that the loss contains: it wants the logits before it
    """

    name: ClassVar[str] = ""
    fuses: ClassVar[type[Layer] | None] = None

    def values(self, y: Array, targets: Array) -> Array:
        """The loss of each sample, (N,)."""
        raise NotImplementedError

    def gradient(self, y: Array, targets: Array) -> Array:
        """dy: the gradient of the mean of `values` by y."""
        raise NotImplementedError

    def twin(self, torch: Any, y: Any, targets: Any) -> Any:
        """`values` by PyTorch's own operations: y (N, K), targets (N,) or (N, K)."""
        raise NotImplementedError

    def record(self, graph: Graph, y: Value) -> None:
        """Write the end of a net on the graph that the compiled kernels run: y, and where its gradient comes in."""
        graph.output(y)

    def probabilities(self, y: Array) -> Array:
        """float32 (N, K): what the outputs say of the classes; rows sum to one."""
        raise NotImplementedError

    def record_probabilities(self, graph: ClassGraph, y: Value) -> Value:
        """Write `probabilities` on a graph of the net in use."""
        return graph.softmax(y)

    def value_and_gradient(self, y: Array, targets: Array, weights: Array | None = None) -> tuple[float, Array]:
        """The mean loss of the batch, Σ wᵢ lossᵢ / N, and its gradient by y.

        weights  wᵢ of each sample, (N,); all 1 where none are given
        """
        values, dy = self.values(y, targets), self.gradient(y, targets)
        if weights is not None:
            values, dy = values * weights, dy * weights.astype(dy.dtype)
        return float(values.mean(dtype=np.float64)), dy

    def predicted(self, y: Array) -> Array:
        """The most probable class of each sample, (N,). Also for a tensor (K, N)."""
        return y.argmax(axis=0)

    def units(self, output_shape: Shape, classes: int, labels: str) -> int:
        """How many outputs the head needs."""
        return classes

    def check_head(self, model: Chain, input_shape: Shape, classes: int, labels: str = "integer") -> Chain:
        """The chain to train: `model`, without the final activation that the loss contains.

        labels  "integer" or "one-hot"
        Raises ModelError that names the layer, both shapes and the remedy where head, labels and loss do not fit.
        """
        if labels not in ("integer", "one-hot"):
            raise ModelError(f"labels must be integer or one-hot; received {labels!r}.")
        path, last = _last(model)
        title = f"The layer {path} ({type(last).__name__})" if path else "The model without layers"
        output_shape = model.output_shape(input_shape)
        if len(output_shape) != 1:
            raise ModelError(
                f"{title} gives images of shape {output_shape}; {self.name} for {classes} classes needs a vector of "
                f"shape ({classes},). End with Flatten and Dense({classes}), or with GlobalAvgPool2D."
            )
        units = self.units(output_shape, classes, labels)
        if output_shape != (units,):
            raise ModelError(
                f"{title} gives outputs of shape {output_shape}; {self.name} for {classes} classes with {labels} "
                f"labels needs ({units},). Give the head {units} unit{'s' if units > 1 else ''}."
            )
        if self.fuses is None:
            return model
        if isinstance(last, self.fuses):
            model = _without_last(model)
        path, last = _last(model, beyond=(Flatten, Reshape))
        if isinstance(last, Activation):
            fused = self.fuses.__name__
            raise ModelError(
                f"The layer {path} ({type(last).__name__}) is an activation on the outputs of shape {output_shape}; "
                f"{self.name} takes logits of shape ({units},) and applies {fused} itself. Remove it, so that the "
                f"net ends in its last Dense; one {fused} may follow as the very last layer."
            )
        return model


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
        return -(self._smoothed(y, targets) * _log_softmax(y)).sum(axis=0)

    def gradient(self, y: Array, targets: Array) -> Array:
        return (_softmax(y) - self._smoothed(y, targets)) / y.shape[1]

    def twin(self, torch: Any, y: Any, targets: Any) -> Any:
        smoothing = self.label_smoothing
        return torch.nn.functional.cross_entropy(y, targets, reduction="none", label_smoothing=smoothing)

    def record(self, graph: Graph, y: Value) -> None:
        graph.cross_entropy(y, self.label_smoothing)

    def probabilities(self, y: Array) -> Array:
        return _rows(_softmax(y))

    def _smoothed(self, y: Array, targets: Array) -> Array:
        t = _columns(targets, y)
        return t if self.label_smoothing == 0 else (1 - self.label_smoothing) * t + self.label_smoothing / len(y)


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """−t log σ(y) − (1 − t) log(1 − σ(y)), the mean over the outputs;  dy = (σ(y) − t) / KN

    With one output, y is the logit of class 1 of two; with K, each is a yes or no of its own.
    """

    name: ClassVar[str] = "binary-cross-entropy"
    fuses: ClassVar[type[Layer] | None] = Sigmoid

    def values(self, y: Array, targets: Array) -> Array:
        # −log σ(y) = log(1 + e⁻ʸ), and −log(1 − σ(y)) is the same and y more: together log(1 + e⁻ʸ) + (1 − t) y,
        # written so that no exponent is positive.
        t = _columns(targets, y)
        return (np.maximum(y, 0) - t * y + np.log1p(np.exp(-np.abs(y)))).mean(axis=0)

    def gradient(self, y: Array, targets: Array) -> Array:
        return (np.exp(_log_sigmoid(y)) - _columns(targets, y)) / y.size

    def twin(self, torch: Any, y: Any, targets: Any) -> Any:
        t = _twin_targets(torch, targets, y)
        return torch.nn.functional.binary_cross_entropy_with_logits(y, t, reduction="none").mean(dim=1)

    def probabilities(self, y: Array) -> Array:
        if len(y) == 1:
            return _rows(np.exp(_log_sigmoid(np.concatenate((-y, y)))))
        # Given that exactly one of the classes is true: P(k) ∝ σₖ Πⱼ≠ₖ (1 − σⱼ) ∝ σₖ / (1 − σₖ) = exp yₖ.
        return _rows(_softmax(y))

    def record_probabilities(self, graph: ClassGraph, y: Value) -> Value:
        # σ(−y) and σ(y) are the softmax of 0 and y.
        return graph.softmax(graph.concat([y], before=1) if y.shape == (1,) else y)

    def predicted(self, y: Array) -> Array:
        return 1 * (y[0] > 0) if len(y) == 1 else super().predicted(y)

    def units(self, output_shape: Shape, classes: int, labels: str) -> int:
        return 1 if classes == 2 and labels == "integer" and output_shape == (1,) else classes


@dataclass(frozen=True)
class SoftmaxBinaryCrossEntropy(Loss):
    """−Σₖ [tₖ log pₖ + (1 − tₖ) log(1 − pₖ)] with p = softmax(y): binary cross-entropy, summed over the classes

    Cross-entropy has the first term alone. The second one asks of every other class that its probability be small,
    which the softmax does already: it makes steps larger, and an untrained net of ten classes begins at 3.25, not 2.30.
    dyⱼ = {pⱼ − tⱼ + (1 − tⱼ) pⱼ − Σₖ≠ⱼ (1 − tₖ) pₖ pⱼ / (1 − pₖ)} / N, for targets that sum to one
    """

    name: ClassVar[str] = "softmax-binary-cross-entropy"
    fuses: ClassVar[type[Layer] | None] = Softmax

    def values(self, y: Array, targets: Array) -> Array:
        t = _columns(targets, y)
        rest = np.log1p(-_without_largest(y, _softmax(y)))  # log(1 − p) of classes with p ≤ ½
        z = y - y.max(axis=0)
        largest, others = _largest_and_others(z)
        rest[largest] = _log_sum_exp(others) - _log_sum_exp(z)
        return -(t * _log_softmax(y) + (1 - t) * rest).sum(axis=0)

    def gradient(self, y: Array, targets: Array) -> Array:
        # pₖ / (1 − pₖ) grows beyond all bounds as pₖ goes to one, but pⱼ / (1 − pₖ) does not: it is qⱼ, the softmax
        # over the other classes. Only the largest p can be near one, so its part of the sum is taken by itself.
        t, p = _columns(targets, y), _softmax(y)
        largest, others = _largest_and_others(y)
        below = _without_largest(y, p)
        odds = (1 - t) * below / (1 - below)
        second = (1 - t) * p - p * (odds.sum(axis=0) - odds) - ((1 - t) * p)[largest] * _softmax(others)
        return (p - t + second) / y.shape[1]

    def twin(self, torch: Any, y: Any, targets: Any) -> Any:
        t, log_p = _twin_targets(torch, targets, y), torch.log_softmax(y, 1)
        largest = torch.nn.functional.one_hot(y.argmax(1), y.shape[1]).bool()
        others = torch.logsumexp(y.masked_fill(largest, -math.inf), 1) - torch.logsumexp(y, 1)
        rest = torch.where(largest, others[:, None], torch.log1p(-log_p.exp().masked_fill(largest, 0)))
        return -(t * log_p + (1 - t) * rest).sum(dim=1)

    def probabilities(self, y: Array) -> Array:
        return _rows(_softmax(y))


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """Σ (y − t)² / KN, the mean over all elements;  dy = 2 (y − t) / KN"""

    name: ClassVar[str] = "mse"

    def values(self, y: Array, targets: Array) -> Array:
        return np.square(y - _columns(targets, y)).mean(axis=0)

    def gradient(self, y: Array, targets: Array) -> Array:
        return (y - _columns(targets, y)) * (2 / y.size)

    def twin(self, torch: Any, y: Any, targets: Any) -> Any:
        return torch.nn.functional.mse_loss(y, _twin_targets(torch, targets, y), reduction="none").mean(dim=1)

    def record(self, graph: Graph, y: Value) -> None:
        graph.squared_error(y, 1 / y.size)

    def probabilities(self, y: Array) -> Array:
        return _estimates(y)

    def record_probabilities(self, graph: ClassGraph, y: Value) -> Value:
        return graph.estimates(y)


@dataclass(frozen=True)
class HalfSquaredError(Loss):
    """Σ (y − t)² / 2N;  dy = (y − t) / N

    Half of Σ (y − t)² / N, which others use: the same steps as by that loss take twice its learning rate and half of
    its penalties. Of K outputs, it is K/2 times "mse".
    """

    name: ClassVar[str] = "half-mse"

    def values(self, y: Array, targets: Array) -> Array:
        return np.square(y - _columns(targets, y)).sum(axis=0) / 2

    def gradient(self, y: Array, targets: Array) -> Array:
        return (y - _columns(targets, y)) / y.shape[1]

    def twin(self, torch: Any, y: Any, targets: Any) -> Any:
        return torch.nn.functional.mse_loss(y, _twin_targets(torch, targets, y), reduction="none").sum(dim=1) / 2

    def record(self, graph: Graph, y: Value) -> None:
        graph.squared_error(y, 0.5)

    def probabilities(self, y: Array) -> Array:
        return _estimates(y)

    def record_probabilities(self, graph: ClassGraph, y: Value) -> Value:
        return graph.estimates(y)


LOSSES: dict[str, type[Loss]] = {
    loss.name: loss
    for loss in (CrossEntropy, BinaryCrossEntropy, SoftmaxBinaryCrossEntropy, MeanSquaredError, HalfSquaredError)
}


def loss(name: str, **options: Any) -> Loss:
    """The loss called `name` with its options. Raises ExperimentError for an unknown name or option."""
    return choose("loss", LOSSES, name, options)


def _columns(targets: Array, y: Array) -> Array:
    """The targets as columns like those of y, one-hot where they are labels."""
    if targets.ndim == 2:
        if targets.shape != y.shape:
            raise ModelError(
                f"Outputs of shape {y.shape} cannot be compared with targets of shape {targets.shape}. "
                "Give one column a sample and one row an output, or integer labels."
            )
        return targets.astype(y.dtype, copy=False)
    if len(y) == 1:
        return targets[None].astype(y.dtype)
    t = np.zeros(y.shape, y.dtype)
    t[targets, np.arange(y.shape[1])] = 1
    return t


def _twin_targets(torch: Any, targets: Any, y: Any) -> Any:
    """As `_columns`, in rows and of PyTorch."""
    if targets.dim() == 2:
        return targets.to(y.dtype)
    return (targets[:, None] if y.shape[1] == 1 else torch.nn.functional.one_hot(targets, y.shape[1])).to(y.dtype)


def _log_softmax(y: Array) -> Array:
    z = y - y.max(axis=0)  # the largest exponential is 1: nothing overflows, and the logarithm is of at least 1
    return z - np.log(np.exp(z).sum(axis=0))


def _softmax(y: Array) -> Array:
    p = np.exp(y - np.maximum.reduce(y))  # as y.max(axis=0), which takes longer to come to it
    return p / np.add.reduce(p)


def _log_sum_exp(y: Array) -> Array:
    largest = y.max(axis=0)
    return largest + np.log(np.exp(y - largest).sum(axis=0))


def _largest_and_others(y: Array) -> tuple[tuple[Array, Array], Array]:
    """Where the largest output of each column is, and the outputs with −∞ in its place."""
    place = (y.argmax(axis=0), np.arange(y.shape[1]))
    others = y.copy()
    others[place] = -np.inf
    return place, others


def _without_largest(y: Array, p: Array) -> Array:
    """Probabilities p with 0 in the place of the largest output: all of them at most ½."""
    below = p.copy()
    below[y.argmax(axis=0), np.arange(y.shape[1])] = 0
    return below


def _log_sigmoid(y: Array) -> Array:
    return np.minimum(y, 0) - np.log1p(np.exp(-np.abs(y)))


def _estimates(y: Array) -> Array:
    """Probabilities from outputs trained by least squares, which estimate the posterior means of one-hot targets.

    What is below zero counts as zero, the rest is normalized; where no output is positive the largest takes all. So the
    most probable class is always that of the largest output.
    """
    p = np.maximum(y, 0)
    largest = p.max(axis=0)
    p[y.argmax(axis=0), np.arange(y.shape[1])] = np.where(largest > 0, largest, 1)
    p /= p.max(axis=0)  # first, so that the sum cannot overflow
    return _rows(p / p.sum(axis=0))


def _rows(p: Array) -> Array:
    return np.ascontiguousarray(p.T, dtype=np.float32)


def _last(chain: Chain, beyond: tuple[type[Layer], ...] = ()) -> tuple[str, Layer]:
    """The path and value of the last layer, inside chains of chains, that is none of the types `beyond`."""
    for name, layer in reversed(chain.named()):
        if isinstance(layer, Chain):
            path, inner = _last(layer, beyond)
            if inner is not layer:
                return f"{name}.{path}", inner
        elif not isinstance(layer, beyond):
            return name, layer
    return "", chain


def _without_last(chain: Chain) -> Chain:
    *before, last = chain.layers
    if isinstance(last, Chain) and last.layers:
        return replace(chain, layers=(*before, _without_last(last)))
    return replace(chain, layers=tuple(before))
