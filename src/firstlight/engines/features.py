"""A net that gives its last hidden features beside its outputs, in one pass and on both engines."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from firstlight.engines.base import Engine, Session, Task
from firstlight.layers import Chain, Concat, Flatten, GlobalAvgPool2D, Layer, Residual
from firstlight.losses import MeanSquaredError
from firstlight.models import Model
from firstlight.types import Array, Images, Shape
from firstlight.weights import Layout

WIDEST = 4096  # features; of wider maps, each channel's mean is taken


@dataclass(frozen=True, eq=False)
class FeatureNet:
    """The net of a task, split before its last layer with weights.

    task    gives features and outputs, one behind the other; those of the given task where nothing is split
    width   of the features, which the outputs follow; 0 where the net has no hidden layer: its outputs are the features
    """

    task: Task
    width: int
    layout: Layout

    @classmethod
    def of(cls, task: Task) -> FeatureNet:
        """Features are what the last layer with weights reads, or the means of these maps."""
        model, chain = task.model, task.trained_layers()
        layout = Layout.of(chain.parameters(model.channels_first))
        trunk, head = split(chain, model.channels_first)
        if not head:
            return cls(task, 0, layout)
        shape = trunk.output_shape(model.channels_first)
        if len(shape) == 1 and shape[0] > WIDEST and isinstance(trunk.layers[-1], Flatten):
            trunk, head = replace(trunk, layers=trunk.layers[:-1]), (trunk.layers[-1], *head)
            shape = trunk.output_shape(model.channels_first)
        kept: Layer = Chain(()) if len(shape) == 1 else GlobalAvgPool2D()
        both = Chain((trunk, Concat((kept, Chain(head)))))
        width = kept.output_shape(shape)[0]
        net = Model(model.name, both, model.input_shape, width + math.prod(model.output_shape))
        return cls(Task(net, MeanSquaredError(), task.preparation, task.optimizer), width, layout)

    def session(self, engine: Engine, model: Model, vector: Array) -> FeatureSession:
        """A session of an engine on the weights of the model, as its layout puts them."""
        if not self.width:
            return FeatureSession(engine.session(self.task, vector=vector), 0)
        arrays = model.layout.named(vector)
        parts = [arrays[entry.name].ravel() for entry in self.layout.entries]  # in the same order, by other names
        return FeatureSession(engine.session(self.task, vector=np.concatenate(parts)), self.width)


@dataclass(frozen=True, eq=False)
class FeatureSession:
    """Answers with features and outputs."""

    session: Session
    width: int

    def features_and_outputs(self, images: Images | Array) -> tuple[Array, Array]:
        """Features (N, F), and the raw outputs (N, K) as the net's own session gives them.

        images  prepared, or their pixels alone
        """
        y = self.session.outputs(images)
        return (y[:, : self.width] if self.width else y), np.ascontiguousarray(y[:, self.width :])


def split(chain: Chain, input_shape: Shape) -> tuple[Chain, tuple[Layer, ...]]:
    """What stands before the last layer with weights, and the layers from there on.

    There are none of these where nothing with weights stands before it, or where it stands inside a residual or a
    concatenation, whose input is far from the outputs.
    """
    found = _split(chain, input_shape)
    if found is None or not _has_kernels(replace(chain, layers=found[0]), input_shape):
        return chain, ()
    return replace(chain, layers=found[0]), found[1]


def _split(chain: Chain, input_shape: Shape) -> tuple[tuple[Layer, ...], tuple[Layer, ...]] | None:
    """The same, also where nothing with weights stands before it inside this chain; None inside a branch."""
    shapes = [shape for _, _, shape in chain.shapes(input_shape)]
    place = max((i for i, layer in enumerate(chain.layers) if _has_kernels(layer, shapes[i])), default=None)
    if place is None or isinstance(chain.layers[place], Concat | Residual):
        return None
    before, last, after = chain.layers[:place], chain.layers[place], chain.layers[place + 1 :]
    if not isinstance(last, Chain):
        return before, (last, *after)
    inner = _split(last, shapes[place])
    return None if inner is None else ((*before, replace(last, layers=inner[0])), (Chain(inner[1]), *after))


def _has_kernels(layer: Layer, input_shape: Shape) -> bool:
    """Whether there are kernels in a layer (batch norm has none)."""
    return any(entry.parameter.kernel for entry in Layout.of(layer.parameters(input_shape)).entries)
