"""A layer that PyTorch does not have, such as one of a user's own, as a module of the operations that it records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatch

from firstlight.export.inference_graph import (
    Activate,
    Add,
    AveragePool,
    BatchNorm,
    Concatenate,
    Convolution,
    Depthwise,
    MaxPool,
    Operation,
    Product,
    Reshape,
    SampleNorm,
    Softmax,
)
from firstlight.export.pytorch.modules import Leaf, average_pool, max_pool, padded, size_of
from firstlight.export.pytorch.source import class_name, statement
from firstlight.layers import Layer
from firstlight.types import Array, Shape

ACTIVATIONS = {
    "relu": "F.relu({x})",
    "leaky": "F.leaky_relu({x}, {a})",
    "elu": "F.elu({x}, alpha={a})",
    "selu": "F.selu({x})",
    "sigmoid": "torch.sigmoid({x})",
    "tanh": "torch.tanh({x})",
    "gelu": "F.gelu({x})",
    "silu": "F.silu({x})",
    "mish": "F.mish({x})",
}
Keep = Callable[[str, Array], str]  # keeps an array as a parameter, and returns what it is called


class Recorded:
    """Writes layers by what they record, and keeps the classes that this takes, text by name.

    operations  of the whole net
    taken       names of classes, to which the new ones are added
    """

    def __init__(self, operations: Sequence[Operation], taken: set[str]) -> None:
        self.operations, self.taken = operations, taken
        self.classes: dict[str, str] = {}

    def __call__(self, path: str, layer: Layer, shape: Shape) -> Leaf:
        """The layer called `path`; see `modules.Leaf`."""
        inside = [one for one in self.operations if one.path == path or one.path.startswith(f"{path}.")]
        if not inside:
            return Leaf("{x}")
        arrays: dict[str, Array] = {}

        def keep(name: str, array: Array) -> str:
            called = name if name not in arrays else f"{name}{len(arrays)}"
            arrays[called] = array
            return f"self.{called}"

        names: dict[str, str] = {}
        forward: list[str] = []
        for number, one in enumerate(inside):
            call = _call(one, [names.get(value, "x") for value in one.inputs], keep)
            names[one.output] = f"y{number}"
            forward += statement(8, "return " if one is inside[-1] else f"y{number} = ", call)
        made = [
            line
            for called, array in arrays.items()
            for line in statement(8, f"self.{called} = ", f"nn.Parameter(torch.zeros({array.shape}))")
        ]
        name = class_name(type(layer).__name__, self.taken)
        self.taken.add(name)
        self.classes[name] = "\n".join(
            [
                *(f"class {name}(nn.Module):", f'    """What {type(layer).__name__} does in use."""', ""),
                *(["    def __init__(self) -> None:", "        super().__init__()", *made, ""] if made else []),
                *("    def forward(self, x: Tensor) -> Tensor:", *forward),
            ]
        )
        return Leaf("{self}({x})", f"{name}()", arrays)


@singledispatch
def _call(one: Operation, inputs: list[str], keep: Keep) -> str:
    """The expression for an operation on the variables `inputs`."""
    raise NotImplementedError(type(one).__name__)


@_call.register
def _(one: Convolution | Depthwise, inputs: list[str], keep: Keep) -> str:
    even, x = padded(one.padding, "")
    arguments = [
        x.format(x=inputs[0]),
        keep("weight", one.W),
        keep("bias", one.b),
        *([f"stride={size_of(one.stride)}"] if one.stride != (1, 1) else []),
        *([f"padding={size_of(even)}"] if even != (0, 0) else []),
        *([f"groups={inputs[0]}.shape[1]"] if isinstance(one, Depthwise) else []),
    ]
    return f"F.conv2d({', '.join(arguments)})"


@_call.register
def _(one: SampleNorm, inputs: list[str], keep: Keep) -> str:
    weights = f"{keep('gamma', one.gamma)}, {keep('beta', one.beta)}, {one.epsilon!r}"
    if one.over_pixels:
        return f"F.group_norm({inputs[0]}, {one.groups}, {weights})"
    return f"F.layer_norm({inputs[0]}.movedim(1, -1), ({one.shape[0]},), {weights}).movedim(-1, 1)"


@_call.register
def _(one: Product, inputs: list[str], keep: Keep) -> str:
    return f"F.linear({inputs[0]}, {keep('weight', one.W)}, {keep('bias', one.b)})"


@_call.register
def _(one: Activate, inputs: list[str], keep: Keep) -> str:
    return ACTIVATIONS[one.function].format(x=inputs[0], a=one.constant)


@_call.register
def _(one: MaxPool, inputs: list[str], keep: Keep) -> str:
    return max_pool(one.size, one.stride, one.padding).format(x=inputs[0])


@_call.register
def _(one: AveragePool, inputs: list[str], keep: Keep) -> str:
    return average_pool(one.size, one.stride, one.padding).format(x=inputs[0])


@_call.register
def _(one: BatchNorm, inputs: list[str], keep: Keep) -> str:
    shape = (-1, *[1] * (len(one.shape) - 1))
    scale, shift = keep("scale", one.scale.reshape(shape)), keep("shift", one.shift.reshape(shape))
    return f"torch.addcmul({shift}, {inputs[0]}, {scale})"


@_call.register
def _(one: Reshape, inputs: list[str], keep: Keep) -> str:
    return f"{inputs[0]}.reshape(-1, {', '.join(map(str, one.shape))})"


@_call.register
def _(one: Add, inputs: list[str], keep: Keep) -> str:
    return " + ".join(inputs)


@_call.register
def _(one: Concatenate, inputs: list[str], keep: Keep) -> str:
    whole = inputs[0] if len(inputs) == 1 else f"torch.cat([{', '.join(inputs)}], dim=1)"
    if not one.before and not one.after:
        return whole
    others = "0, 0, 0, 0, " if len(one.shape) == 3 else ""
    return f"F.pad({whole}, ({others}{one.before}, {one.after}))"


@_call.register
def _(one: Softmax, inputs: list[str], keep: Keep) -> str:
    return f"torch.softmax({inputs[0]}, dim=1)"
