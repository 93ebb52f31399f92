"""The model: a chain of layers for images of one shape, and its summary."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from firstlight import diagram
from firstlight.constraints import as_tuple
from firstlight.errors import ModelError, ShapeError
from firstlight.layers import Chain, Container, Layer, from_json, join
from firstlight.notebook_display import Shown
from firstlight.records.model import LayerRecord
from firstlight.types import Json, Shape
from firstlight.weights import Entry, Layout

LARGEST = 2**30  # parameters: 4 GiB in float32, and training takes four times that


@dataclass(frozen=True)
class Model(Shown):
    """A chain of layers for images of one shape and a number of classes.

    name         of the architecture
    layers       what is computed, in the order of the data
    classes      how many there are to tell apart
    input_shape  (H, W, C) of one image, as a person writes it; the layers see (C, H, W)
    options      the arguments of the named architecture, for the record
    frozen       patterns of the names of what is not trained, such as ("*", "!head"); see `firstlight.weights.chosen`
    Raises ModelError when two layers do not fit.
    """

    name: str
    layers: Chain
    input_shape: Shape
    classes: int
    options: Mapping[str, Any] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.input_shape) != 3 or min(self.input_shape) < 1:
            raise ModelError(f"{self.name}: an input shape is (height, width, channels); received {self.input_shape}.")
        if self.classes < 2:
            raise ModelError(f"{self.name}: a classifier needs at least 2 classes; received {self.classes}.")
        try:
            self.layers.output_shape(self.channels_first)
        except ModelError as error:
            size = "×".join(map(str, self.input_shape))
            text = f"{self.name} does not fit images of {size}. {error}"
            raise ShapeError(text, shape=self.input_shape) from None
        if self.parameters > LARGEST:
            raise ModelError(
                f"{self.name} has {self.parameters:,} parameters for these images; the limit is {LARGEST:,}. Make its "
                "layers smaller."
            )

    @property
    def channels_first(self) -> tuple[int, int, int]:
        """The input as the layers take it, (C, H, W)."""
        height, width, channels = self.input_shape
        return channels, height, width

    @cached_property
    def output_shape(self) -> Shape:
        """Of one image, without the batch."""
        return self.layers.output_shape(self.channels_first)

    @cached_property
    def layout(self) -> Layout:
        """Where each parameter lies in the flat vector of weights."""
        return Layout.of(self.layers.parameters(self.channels_first), self.frozen)

    @property
    def parameters(self) -> int:
        """All numbers of the model, running statistics included."""
        return self.layout.size

    @property
    def trainable(self) -> int:
        """How many numbers training changes."""
        return self.layout.trainable

    @property
    def frozen_parameters(self) -> int:
        """Those that would be trained, were they not frozen."""
        return Layout.of(self.layers.parameters(self.channels_first)).trainable - self.trainable

    @property
    def multiply_adds(self) -> int:
        """Multiply-accumulate operations to classify one image."""
        return self.layers.multiply_adds(self.channels_first)

    def summary(self) -> list[LayerRecord]:
        """The layers in the order of the data; a container follows what it holds, and a chain has no row of its own."""
        held = defaultdict[str, list[Entry]](list)
        for entry in self.layout.entries:
            for depth in range(1, len(entry.path)):
                held[".".join(entry.path[:depth])].append(entry)
        return _rows(self.layers, "", "", self.channels_first, held)[0]

    def svg(self, *, width: float = 928, fold: bool = True) -> str:
        """The net as a picture: SVG with its layers as blocks from the image downwards, in light and dark.

        width  CSS pixels that there are for columns side by side; 0 for one column
        fold   whether a deep net shows what is repeated once, with its count
        """
        return diagram.standalone(
            self.summary(), self.input_shape, f"The layers of {self.name}", width=width, fold=fold
        )

    def to_json(self) -> Json:
        """Plain values from which `from_json` makes an equal model."""
        return {
            "name": self.name,
            "options": dict(self.options),
            "input_shape": list(self.input_shape),
            "classes": self.classes,
            "layers": [layer.to_json() for layer in self.layers.layers],
            "frozen": list(self.frozen),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Model:
        """The model that `to_json` wrote. Raises ModelError for anything else."""
        try:
            layers = Chain(tuple(from_json(layer) for layer in value["layers"]))
            options = {key: as_tuple(option) for key, option in value.get("options", {}).items()}
            shape, frozen = tuple(value["input_shape"]), tuple(value.get("frozen", ()))
            return cls(value["name"], layers, shape, value["classes"], options, frozen)
        except (KeyError, TypeError) as error:
            raise ModelError(f"This is not a description of a model: {type(error).__name__} {error}.") from None


def _rows(
    layer: Layer, name: str, source: str, shape: Shape, held: Mapping[str, Sequence[Entry]]
) -> tuple[list[LayerRecord], str]:
    """The rows of a layer that reads what `source` gives, and the name of the one whose output is the layer's.

    held  the arrays of each layer and container, by its name
    """
    rows: list[LayerRecord] = []
    ends: list[str] = []
    container = layer if isinstance(layer, Container) else None
    if container is not None:
        for child_name, child, child_shape in container.shapes(shape):
            before = ends[-1] if container.sequential and ends else source
            inner, end = _rows(child, join(name, child_name), before, child_shape, held)
            rows += inner
            ends = [end] if container.sequential else [*ends, end]
        if isinstance(container, Chain):
            return rows, ends[-1] if ends else source
    if not ends or (container is not None and container.reads_input):
        ends.append(source)
    depth = len(name.split("."))
    own = [entry for entry in held.get(name, ()) if container is None or len(entry.path) == depth + 1]
    output = layer.output_shape(shape)
    record = LayerRecord(
        name,
        type(layer).__name__,
        (*output[1:], output[0]),
        sum(entry.parameter.size for entry in own),
        sum(entry.parameter.size for entry in own if entry.parameter.trainable),
        0 if container is not None else layer.multiply_adds(shape),
        tuple(ends),
        {".".join(entry.path[depth:]): entry.parameter.shape for entry in own},
        _settings(layer),
    )
    return [*rows, record], name


def _settings(layer: Layer) -> Json:
    """The fields of a layer that differ from their defaults, but its name and the layers in it."""
    inner = {field.name for field in fields(layer) if _holds_layers(getattr(layer, field.name))}
    return {key: value for key, value in layer.to_json().items() if key not in {"type", "name", *inner}}


def _holds_layers(value: object) -> bool:
    return isinstance(value, Layer) or (isinstance(value, tuple) and any(map(_holds_layers, value)))
