"""What the layers made of layers share: their children have names, and parameters and gradients are nested by them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from firstlight.errors import ModelError
from firstlight.layers.base import Layer
from firstlight.types import Shape

Named = tuple[tuple[str, Layer], ...]


class Container(Layer):
    """The base of Chain, Residual and Concat.

    sequential   whether each child reads what the one before it gives, as in a chain; else all read the container's x
    reads_input  whether the container itself works with its x, as y = x · gate(x) does, and not through a child alone
    """

    sequential: ClassVar[bool] = False
    reads_input: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.named()

    def named(self) -> Named:
        """The children with their names, in order. Raises ModelError where two share one."""
        raise NotImplementedError

    def shapes(self, input_shape: Shape) -> Iterable[tuple[str, Layer, Shape]]:
        """The children with their names and their own input shapes: all the container's, where they stand abreast."""
        return [(name, layer, input_shape) for name, layer in self.named()]

    def parameters(self, input_shape: Shape) -> Mapping[str, Any]:
        trees = {name: layer.parameters(shape) for name, layer, shape in self.shapes(input_shape)}
        return {name: tree for name, tree in trees.items() if tree}

    def multiply_adds(self, input_shape: Shape) -> int:
        return sum(layer.multiply_adds(shape) for _, layer, shape in self.shapes(input_shape))


def by_type(layers: Iterable[Layer]) -> Named:
    """Call each layer by its own name, or else by its type and a number: conv1, relu1, conv2, dense1."""
    counts: Counter[str] = Counter()
    named = []
    for layer in layers:
        short = re.sub(r"2d$", "", type(layer).__name__.lower())
        counts[short] += 1
        named.append((layer.name or f"{short}{counts[short]}", layer))
    return unique(named)


def unique(named: Iterable[tuple[str, Layer]]) -> Named:
    """The same, once no two names are equal. Raises ModelError otherwise."""
    named = tuple(named)
    for name, count in Counter(name for name, _ in named).items():
        if count > 1:
            raise ModelError(f"{count} layers beside each other are called {name!r}. Give each a name of its own.")
    return named


def shape_inside(name: str, layer: Layer, input_shape: Shape) -> Shape:
    """The child's output shape; an error says which child it was."""
    try:
        return layer.output_shape(input_shape)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from None
