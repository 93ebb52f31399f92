"""A layer as the lines of a module of PyTorch: what `__init__` makes and what `forward` does.

Layers with weights, and dropout, are made in `__init__`; the others are called in `forward`. A number that may differ
between two blocks of one kind stands in the text as its place in `Body.numbers`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from firstlight.export.pytorch.source import LINE, identifier
from firstlight.kernels import Padding, Pair
from firstlight.layers import (
    ELU,
    GELU,
    SELU,
    Activation,
    AvgPool2D,
    BatchNorm,
    Chain,
    Concat,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    GroupNorm,
    Layer,
    LayerNorm,
    LeakyReLU,
    MaxPool2D,
    Mish,
    PadChannels,
    ReLU,
    Reshape,
    Residual,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
    join,
)
from firstlight.layers.window import Pool2D, padding_of, pair
from firstlight.types import Array, Shape

VARIABLES = ("x", "y", "z", "u", "v", "w")
WEIGHTS = {"W": "weight", "b": "bias", "gamma": "weight", "beta": "bias", "mean": "running_mean", "var": "running_var"}


@dataclass(frozen=True)
class Number:
    """A number of a layer that may differ in the next block: what it is, and its value."""

    kind: str
    value: int


Own = Callable[[str, Layer, Shape], "Leaf"]
Note = Callable[[str, int], str]  # notes a number, and returns what stands for it in the text


@dataclass(frozen=True)
class Leaf:
    """A layer without layers: its call, where {self} stands for what `__init__` makes, if anything, and {x} for x.

    arrays  its weights by their names in PyTorch, where they are not those of the layer
    """

    used: str
    made: str = ""
    arrays: Mapping[str, Array] = field(default_factory=dict)


L = TypeVar("L", bound=Layer)
LEAVES: dict[type[Layer], Callable[..., Leaf]] = {}


def leaf(kind: type[L]) -> Callable[[Callable[[L, Shape, Note], Leaf]], Callable[[L, Shape, Note], Leaf]]:
    """Register how layers of exactly this type are written."""

    def register(write: Callable[[L, Shape, Note], Leaf]) -> Callable[[L, Shape, Note], Leaf]:
        LEAVES[kind] = write
        return write

    return register


@dataclass
class Flow:
    """Values on their way: the variable that they are kept in, the expression so far, and whether a call may join."""

    target: str
    expression: str
    shape: Shape
    open: bool = False


@dataclass(frozen=True)
class Line:
    """`target = expression`, of this shape; the last one is returned."""

    target: str
    expression: str
    shape: Shape


@dataclass
class Body:
    """What a module consists of.

    attributes  name and expression of each module made in `__init__`
    lines       of `forward`
    numbers     what « » in these texts stand for
    weights     our whole name of each array by that in PyTorch; or the array, where we have no name for it
    prefix      the path of what the module is made from
    own         how layers are written that are not among `LEAVES`: from path and shape
    """

    own: Own
    prefix: str = ""
    attributes: list[tuple[str, str]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    numbers: list[Number] = field(default_factory=list)
    weights: dict[str, str | Array] = field(default_factory=dict)
    depth: int = 0

    def through(self, layer: Layer, path: str, flow: Flow) -> None:
        """Write a layer, called `path` in this module."""
        if type(layer) is Chain:
            for name, child in layer.named():
                self.through(child, join(path, name), flow)
        elif type(layer) is Residual:
            self._sides(layer, path, flow)
            flow.shape, flow.open = layer.output_shape(flow.shape), True
        elif type(layer) is Concat:
            self._sides(layer, path, flow)
            flow.shape = layer.output_shape(flow.shape)
        else:
            self._leaf(layer, path, flow)

    def finish(self, flow: Flow) -> None:
        """The last line gives what is at hand."""
        self.lines.append(Line("", flow.expression, flow.shape))

    def module(self, name: str, shape: Shape, flow: Flow) -> None:
        """Go through the module called `name`, whose output has this shape."""
        self._store(flow)
        flow.expression, flow.shape = f"self.{name}({flow.expression})", shape

    def attribute(self, path: str, made: str) -> str:
        """A module made in `__init__`; its name, by as much of the path as it takes to be another's."""
        taken = {name for name, _ in self.attributes}
        names = path.split(".")
        candidates = ["_".join(names[start:]) for start in range(len(names) - 1, -1, -1)]
        free = [one for one in candidates if identifier(one, ()) not in taken]
        name = identifier(free[0] if free else candidates[-1], taken)
        self.attributes.append((name, made))
        return name

    def plain(self, text: str) -> str:
        """A text with the numbers themselves."""
        return filled(text, [str(number.value) for number in self.numbers])

    def _leaf(self, layer: Layer, path: str, flow: Flow) -> None:
        write = LEAVES.get(type(layer))
        one = write(layer, flow.shape, self._number) if write else self.own(join(self.prefix, path), layer, flow.shape)
        name = self.attribute(path, one.made) if one.made else ""
        for ours in layer.parameters(flow.shape) if write else ():
            self.weights[f"{name}.{WEIGHTS[ours]}"] = join(self.prefix, f"{path}.{ours}")
        for theirs, array in one.arrays.items():
            self.weights[f"{name}.{theirs}"] = array
        joins = isinstance(layer, BatchNorm | Activation)
        call = one.used.replace("{self}", f"self.{name}")
        joined = call.replace("{x}", flow.expression)
        shown = f"        {flow.target} = {self.plain(joined)}  # 1024 × 112 × 112"
        if not (joins and flow.open and len(shown) <= LINE):
            self._store(flow)
        flow.expression = call.replace("{x}", flow.expression)
        flow.shape = layer.output_shape(flow.shape)
        flow.open = isinstance(layer, Conv2D | Dense) or joins

    def _sides(self, layer: Residual | Concat, path: str, flow: Flow) -> None:
        """The branches of a layer side by side, each in a variable of its own, and what is made of them."""
        self._store(flow)
        depth, found = self.depth, []
        for name, child in layer.named():
            self.depth += 1
            side = Flow(_variable(self.depth), flow.target, flow.shape)
            self.through(child, join(path, name), side)
            self._store(side)
            found.append(side.expression)
            self.depth -= side.expression != side.target
        self.depth = depth
        flow.expression = (
            " + ".join(found) if isinstance(layer, Residual) else f"torch.cat([{', '.join(found)}], dim=1)"
        )
        flow.open = False

    def _store(self, flow: Flow) -> None:
        """Write the line that puts the expression into the variable, unless it is one already."""
        if not flow.expression.isidentifier():
            self.lines.append(Line(flow.target, flow.expression, flow.shape))
            flow.expression = flow.target
        flow.open = False

    def _number(self, kind: str, value: int) -> str:
        self.numbers.append(Number(kind, value))
        return f"«{len(self.numbers) - 1}»"


def filled(text: str, numbers: Sequence[str]) -> str:
    """A text with something in the place of each number, and without a stride of 1, which is usual."""
    short = re.sub(", stride=«(\\d+)»", lambda found: "" if numbers[int(found[1])] == "1" else found[0], text)
    return re.sub("«(\\d+)»", lambda found: numbers[int(found[1])], short)


def _variable(depth: int) -> str:
    return VARIABLES[depth] if depth < len(VARIABLES) else f"x{depth}"


# --- each layer -------------------------------------------------------------------------------------------------------


@leaf(Conv2D)
def _(layer: Conv2D, shape: Shape, number: Note) -> Leaf:
    return _conv2d(layer, shape, number, layer.filters)


@leaf(DepthwiseConv2D)
def _(layer: DepthwiseConv2D, shape: Shape, number: Note) -> Leaf:
    return _conv2d(layer, shape, number, shape[0] * layer.multiplier)


def _conv2d(layer: Conv2D | DepthwiseConv2D, shape: Shape, number: Note, filters: int) -> Leaf:
    kernel, stride = pair(layer.kernel), pair(layer.stride)
    padding = padding_of(layer.padding, (shape[1], shape[2]), kernel, stride)
    even, x = padded(padding, "")
    arguments = [
        number("channels", shape[0]),
        number("filters", filters),
        f"kernel_size={size_of(kernel)}",
        f"stride={number('stride', stride[0]) if stride[0] == stride[1] else stride}",
        *([f"padding={size_of(even)}"] if even != (0, 0) else []),
        *([f"groups={number('channels', shape[0])}"] if isinstance(layer, DepthwiseConv2D) else []),
        *([] if layer.bias else ["bias=False"]),
    ]
    return Leaf(f"{{self}}({x})", f"nn.Conv2d({', '.join(arguments)})")


@leaf(GroupNorm)
def _(layer: GroupNorm, shape: Shape, number: Note) -> Leaf:
    epsilon = f", eps={layer.epsilon!r}" if layer.epsilon != 1e-5 else ""
    return Leaf("{self}({x})", f"nn.GroupNorm({layer.groups}, {number('channels', shape[0])}{epsilon})")


@leaf(LayerNorm)
def _(layer: LayerNorm, shape: Shape, number: Note) -> Leaf:
    epsilon = f", eps={layer.epsilon!r}" if layer.epsilon != 1e-5 else ""
    used = "{self}({x})" if len(shape) == 1 else "{self}({x}.movedim(1, -1)).movedim(-1, 1)"
    return Leaf(used, f"nn.LayerNorm({number('channels', shape[0])}{epsilon})")


@leaf(Dense)
def _(layer: Dense, shape: Shape, number: Note) -> Leaf:
    bias = "" if layer.bias else ", bias=False"
    return Leaf("{self}({x})", f"nn.Linear({number('features', shape[0])}, {number('units', layer.units)}{bias})")


@leaf(BatchNorm)
def _(layer: BatchNorm, shape: Shape, number: Note) -> Leaf:
    momentum = round(1 - layer.momentum, 12)  # PyTorch's is the share of the new value, not of the old one
    arguments = [
        number("channels", shape[0]),
        *([f"eps={layer.epsilon!r}"] if layer.epsilon != 1e-5 else []),
        *([f"momentum={momentum!r}"] if momentum != 0.1 else []),
    ]
    return Leaf("{self}({x})", f"nn.BatchNorm{'2d' if len(shape) == 3 else '1d'}({', '.join(arguments)})")


@leaf(Dropout)
def _(layer: Dropout, shape: Shape, number: Note) -> Leaf:
    return Leaf("{self}({x})", f"nn.Dropout({layer.rate!r})")


@leaf(MaxPool2D)
def _(layer: MaxPool2D, shape: Shape, number: Note) -> Leaf:
    return Leaf(max_pool(*_window(layer, shape)))


@leaf(AvgPool2D)
def _(layer: AvgPool2D, shape: Shape, number: Note) -> Leaf:
    return Leaf(average_pool(*_window(layer, shape)))


@leaf(GlobalAvgPool2D)
def _(layer: GlobalAvgPool2D, shape: Shape, number: Note) -> Leaf:
    return Leaf("{x}.mean(dim=(2, 3))")


@leaf(PadChannels)
def _(layer: PadChannels, shape: Shape, number: Note) -> Leaf:
    others = "0, 0, 0, 0, " if len(shape) == 3 else ""
    return Leaf(f"F.pad({{x}}, ({others}{number('before', layer.before)}, {number('after', layer.after)}))")


@leaf(Flatten)
def _(layer: Flatten, shape: Shape, number: Note) -> Leaf:
    return Leaf("{x}.flatten(start_dim=1)")


@leaf(Reshape)
def _(layer: Reshape, shape: Shape, number: Note) -> Leaf:
    return Leaf(f"{{x}}.reshape(-1, {', '.join(map(str, layer.shape))})")


@leaf(ELU)
def _(layer: ELU, shape: Shape, number: Note) -> Leaf:
    return Leaf("F.elu({x})" if layer.alpha == 1 else f"F.elu({{x}}, alpha={layer.alpha!r})")


@leaf(LeakyReLU)
def _(layer: LeakyReLU, shape: Shape, number: Note) -> Leaf:
    return Leaf("F.leaky_relu({x})" if layer.slope == 0.01 else f"F.leaky_relu({{x}}, {layer.slope!r})")


for _kind, _call in {
    ReLU: "F.relu({x})",
    GELU: "F.gelu({x})",
    SiLU: "F.silu({x})",
    Mish: "F.mish({x})",
    SELU: "F.selu({x})",
    Sigmoid: "torch.sigmoid({x})",
    Tanh: "torch.tanh({x})",
    Softmax: "torch.softmax({x}, dim=1)",
}.items():
    leaf(_kind)(lambda layer, shape, number, call=_call: Leaf(call))  # type: ignore[misc]


def max_pool(size: Pair, stride: Pair, padding: Padding) -> str:
    """The largest value of each window; padding never wins."""
    even, x = padded(padding, ", value=-torch.inf", most=size)
    return f"F.max_pool2d({x}, {_pool_arguments(size, stride, even)})"


def average_pool(size: Pair, stride: Pair, padding: Padding) -> str:
    """The mean of each window over the pixels that lie inside the image."""
    if size == (1, 1):
        return f"{{x}}[:, :, ::{stride[0]}, ::{stride[1]}]"
    even, x = padded(padding, "", most=size)
    if x == "{x}":
        inside = ", count_include_pad=False" if even != (0, 0) else ""
        return f"F.avg_pool2d({x}, {_pool_arguments(size, stride, even)}{inside})"
    (top, bottom), (left, right) = padding
    return f"average_inside({{x}}, {size}, {stride}, {(left, right, top, bottom)})"


def padded(padding: Padding, value: str, most: Pair | None = None) -> tuple[Pair, str]:
    """The even padding that PyTorch adds itself, and x, padded where it is uneven or more than it takes."""
    (top, bottom), (left, right) = padding
    even = top == bottom and left == right
    if even and (most is None or (2 * top <= most[0] and 2 * left <= most[1])):
        return (top, left), "{x}"
    return (0, 0), f"F.pad({{x}}, {(left, right, top, bottom)}{value})"


def size_of(size: Pair) -> str:
    """A number alone where both directions have the same."""
    return str(size[0]) if size[0] == size[1] else str(size)


def _window(layer: Pool2D, shape: Shape) -> tuple[Pair, Pair, Padding]:
    size = pair(layer.size)
    stride = size if layer.stride is None else pair(layer.stride)
    return size, stride, padding_of(layer.padding, (shape[1], shape[2]), size, stride)


def _pool_arguments(size: Pair, stride: Pair, padding: Pair) -> str:
    arguments = [
        size_of(size),
        *([f"stride={size_of(stride)}"] if stride != size else []),
        *([f"padding={size_of(padding)}"] if padding != (0, 0) else []),
    ]
    return ", ".join(arguments)
