"""Losses: a number to minimize, its gradient with respect to the net's outputs, and the probabilities these mean.

Outputs y are (K, N), a column per sample. Targets t are integer labels (N,), or one-hot or soft columns (K, N) that sum
to one. Losses and gradients are means over the batch; with weights, of each sample's loss by its weight.

Every gradient is affine in the targets: that of a sample which is to some share of one class, and for the rest of
another, is the mean of the gradients of both by these shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from firstlight.components import Component, Components, needed
from firstlight.errors import ExperimentError, ModelError
from firstlight.kernels.graph import Graph, Value
from firstlight.layers import Activation, Chain, Flatten, Layer, Reshape
from firstlight.losses.loss_step import LossStep, general
from firstlight.types import Array, Shape
from firstlight.working import Index, Working


class ClassGraph(Protocol):
    """What `Loss.record_probabilities` writes on: `export.inference_graph.InferenceGraph`."""

    def softmax(self, x: Value) -> Value: ...

    def concat(self, parts: Sequence[Value], before: int = 0, after: int = 0) -> Value: ...

    def estimates(self, x: Value) -> Value: ...


@dataclass(frozen=True)
class Loss(Component):
    """The base of all losses; `fuses` is the type of the final activation that it contains, so that it wants logits."""

    fuses: ClassVar[type[Layer] | None] = None

    @property
    def name(self) -> str:
        """What an experiment calls it."""
        return LOSSES.name_of(type(self)) or type(self).__name__

    @needed()
    def values(self, y: Array, targets: Array) -> Array:
        """The loss of each sample, (N,)."""
        raise NotImplementedError

    @needed()
    def gradient(self, y: Array, targets: Array) -> Array:
        """dy: the gradient of the mean of `values` by y."""
        raise NotImplementedError

    def twin(self, torch: Any, y: Any, targets: Any) -> Any:
        """`values` by PyTorch's own operations: y (N, K), targets (N,) or (N, K)."""
        raise ModelError(
            f"The loss {self.name} has no PyTorch twin, so the engine torch cannot train with it. Give it a method "
            "`twin`, or use the engine numpy."
        )

    def record(self, graph: Graph, y: Value) -> None:
        """Write the end of a net on the graph that the compiled kernels run: y, and where its gradient comes in."""
        graph.output(y)

    @needed()
    def probabilities(self, y: Array) -> Array:
        """float32 (N, K): what the outputs say of the classes; rows sum to one."""
        raise NotImplementedError

    def record_probabilities(self, graph: ClassGraph, y: Value) -> Value:
        """Write `probabilities` on a graph of the net in use."""
        return graph.softmax(y)

    def working(self, step: LossStep, of: str, index: Index) -> Working:
        """How the loss "value" of an image (n,) came about, or the gradient "dy" by one of its outputs (k, n).

        Here by the rule for any loss: its formula in float64, and a nudge. A loss may tell a story of its own.
        """
        return general(step, of, index)

    def value_and_gradient(self, y: Array, targets: Array, weights: Array | None = None) -> tuple[float, Array]:
        """The mean loss of the batch, Σ wᵢ lossᵢ / N, and its gradient with respect to y.

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


LOSSES = Components("loss", base=Loss, error=ExperimentError)


def loss(name: str, **options: Any) -> Loss:
    """The loss called `name` with its options. Raises ExperimentError for an unknown name or option."""
    return LOSSES.build(name, **options)


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
