"""The calls of C that make up a net, one an operation, with the constants and the memory that they name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import singledispatchmethod
from itertools import groupby

import numpy as np

from firstlight.export.c.integer_operations import (
    Float,
    FloatProduct,
    Int8,
    Int8Add,
    Int8AveragePool,
    Int8BatchNorm,
    Int8Concatenate,
    Int8Convolution,
    Int8MaxPool,
    Int8Prepare,
    Int8PrepareImage,
    Int8PreparePixels,
    Int8Product,
    Int8Softmax,
    Int8Table,
    Rectified,
    Requantized,
)
from firstlight.export.c.memory import MemoryPlan, planned
from firstlight.export.c.text import Identifiers, comment
from firstlight.export.inference_graph import (
    INPUT,
    PROBABILITIES,
    STRANGENESS,
    Activate,
    Add,
    AveragePool,
    BatchNorm,
    Concatenate,
    Convolution,
    Depthwise,
    Estimates,
    MaxPool,
    Mean,
    Operation,
    Prepare,
    Product,
    Reshape,
    SampleNorm,
    Softmax,
    Strangeness,
)
from firstlight.kernels import Padding, Pair
from firstlight.layers.selu import ALPHA, SCALE
from firstlight.types import Array, Shape

MARGIN = 112


class Calls:
    """The statements of `firstlight_predict`, and the constants by name."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.shapes: dict[str, Shape] = {one.output: one.shape for one in operations}
        self.plans = self._plans(operations)
        self.scratch = {name: (kind, plan.size) for kind, (name, plan) in self.plans.items() if plan.size}
        if widths := [one.shape[2] for one in operations if isinstance(one, Int8Convolution)]:
            self.scratch["sums"] = ("int32", max(widths))
        if classes := [len(one.c) for one in operations if isinstance(one, Strangeness)]:
            self.scratch |= {"distances": ("float32", max(classes)), "strangeness": ("float32", 1)}
        self.constants: dict[str, Array] = {}
        self.statements: list[str] = []
        self._identifiers: dict[str, str] = {}
        self._unique = Identifiers()
        for path, group in groupby(operations, key=lambda one: one.path):
            *_, last = layer = list(group)
            shape = " x ".join(map(str, last.shape))
            self.statements.append(f"    /*{comment(path.lstrip('.') or _purpose(last), ' ')}: {shape} */")
            for one in layer:
                self.write(one)

    def _plans(self, operations: Sequence[Operation]) -> dict[str, tuple[str, MemoryPlan]]:
        """For each type of value, what its memory is called and where each lies in it."""
        integers: set[str] = set()
        for one in operations:
            if isinstance(one, Int8) or (isinstance(one, Reshape) and one.inputs[0] in integers):
                integers.add(one.output)
        return {
            "float32": ("values", planned(operations, self.shapes.keys() - integers)),
            "int8": ("bytes", planned(operations, integers)),
        }

    @singledispatchmethod
    def write(self, one: Operation) -> None:
        """Append what computes the operation."""
        raise NotImplementedError(type(one).__name__)

    @write.register
    def _(self, one: Prepare) -> None:
        channels, *_ = one.shape
        flat = [a.reshape(channels, -1) for a in (one.scale, one.shift)]
        alike = all((a == a[:, :1]).all() for a in flat)
        scale, shift = (a[:, 0] if alike else a.ravel() for a in flat)
        names = [self.constant(one, "scale", scale), self.constant(one, "shift", shift)]
        self.call("prepare", "image", self.place(one.output), *names, channels, flat[0].shape[1], int(not alike))
        if one.per_image:
            self.call("standardize", self.place(one.output), self.size(one.output))

    @write.register
    def _(self, one: Convolution | Depthwise) -> None:
        W, b = self.constant(one, "W", one.W.ravel()), self.constant(one, "b", one.b)
        window = self.window(one, one.W.shape[2:], one.stride, one.padding)
        function = "convolution" if isinstance(one, Convolution) else "depthwise_convolution"
        self.call(function, *self.places(one), W, b, window)

    @write.register
    def _(self, one: SampleNorm) -> None:
        names = self.constant(one, "gamma", one.gamma), self.constant(one, "beta", one.beta)
        groups, values, others = one.seen
        of_each = values // (one.shape[0] // groups)
        self.call("sample_norm", *self.places(one), *names, groups, values, others, of_each, repr(one.epsilon))

    @write.register
    def _(self, one: Product) -> None:
        W, b = self.constant(one, "W", one.W.ravel()), self.constant(one, "b", one.b)
        self.call("product", *self.places(one), W, b, *one.W.shape)

    @write.register
    def _(self, one: Activate) -> None:
        a = f"{np.float32(one.constant)}f"
        names = {
            "relu": ("relu",),
            "leaky": ("leaky_relu", a),
            "elu": ("elu", a, "1.0f"),
            "selu": ("elu", f"{np.float32(ALPHA)}f", f"{np.float32(SCALE)}f"),
            "sigmoid": ("sigmoid",),
            "tanh": ("hyperbolic_tangent",),
            "gelu": ("gelu",),
            "silu": ("silu",),
            "mish": ("mish",),
        }
        function, *constants = names[one.function]
        self.call(function, *self.places(one), self.size(one.output), *constants)

    @write.register
    def _(self, one: MaxPool) -> None:
        self.call("max_pool", *self.places(one), self.window(one, one.size, one.stride, one.padding))

    @write.register
    def _(self, one: AveragePool) -> None:
        self.call("average_pool", *self.places(one), self.window(one, one.size, one.stride, one.padding))

    @write.register
    def _(self, one: BatchNorm) -> None:
        names = self.constant(one, "scale", one.scale), self.constant(one, "shift", one.shift)
        self.call("batch_norm", *self.places(one), *names, one.shape[0], math.prod(one.shape[1:]))

    @write.register
    def _(self, one: Reshape) -> None:
        return

    @write.register
    def _(self, one: Add) -> None:
        self.call("add", *self.places(one), self.size(one.output))

    @write.register
    def _(self, one: Concatenate) -> None:
        self._concatenate(one, "copy", "zeros")

    def _concatenate(self, one: Concatenate | Int8Concatenate, copy: str, zeros: str, *zero: int) -> None:
        y, at, each = self.place(one.output), 0, math.prod(one.shape[1:])
        parts = [(None, one.before), *((name, self.shapes[name][0]) for name in one.inputs), (None, one.after)]
        for name, channels in parts:
            if size := channels * each:
                if name is None:
                    self.call(zeros, f"{y} + {at}", size, *zero)
                else:
                    self.call(copy, self.place(name), f"{y} + {at}", size)
            at += size

    @write.register
    def _(self, one: Softmax) -> None:
        self.call("softmax", *self.places(one), one.shape[0], math.prod(one.shape[1:]))

    @write.register
    def _(self, one: Mean) -> None:
        y, size = self.place(one.output), self.size(one.output)
        self.call("zeros", y, size)
        for name in one.inputs:
            self.call("add_share", self.place(name), y, size, f"{np.float32(len(one.inputs))}f")

    @write.register
    def _(self, one: Strangeness) -> None:
        W, c = self.constant(one, "W", one.W.ravel()), self.constant(one, "c", one.c.ravel())
        self.call("strange", *self.places(one), W, c, "distances", *one.W.shape, len(one.c))

    @write.register
    def _(self, one: Estimates) -> None:
        self.call("estimates", *self.places(one), self.size(one.output))

    @write.register
    def _(self, one: Int8Prepare) -> None:
        channels, *size = one.shape
        table = self.constant(one, "table", one.table.ravel())
        self.call("prepare_int8", *self.places(one), table, channels, math.prod(size))

    @write.register
    def _(self, one: Int8PreparePixels) -> None:
        channels, *size = one.shape
        names = [self.constant(one, "scale", one.scale.ravel()), self.constant(one, "shift", one.shift.ravel())]
        self.call("prepare_pixels_int8", *self.places(one), *names, channels, math.prod(size), one.zero)

    @write.register
    def _(self, one: Int8PrepareImage) -> None:
        channels, *size = one.shape
        self.call("prepare_image_int8", *self.places(one), channels, math.prod(size), repr(one.steps), one.zero)

    @write.register
    def _(self, one: Int8Convolution) -> None:
        window = self.window(one, one.W.shape[2:], one.stride, one.padding)
        self.call("convolution_int8", *self.places(one), *self.integers(one), one.zero_x, one.zero, "sums", window)

    @write.register
    def _(self, one: Int8Product) -> None:
        self.call("product_int8", *self.places(one), *self.integers(one), one.zero_x, one.zero, *one.W.shape)

    @write.register
    def _(self, one: Int8BatchNorm) -> None:
        sizes = one.shape[0], math.prod(one.shape[1:])
        self.call("batch_norm_int8", *self.places(one), *self.integers(one), one.zero_x, one.zero, *sizes)

    @write.register
    def _(self, one: FloatProduct) -> None:
        names = [self.constant(one, name, getattr(one, name).ravel()) for name in ("W", "b", "scale")]
        self.call("product_float", *self.places(one), *names, one.zero_x, *one.W.shape)

    @write.register
    def _(self, one: Float) -> None:
        self.call("as_float", *self.places(one), self.size(one.output), f"{np.float32(one.scale)}f", one.zero_x)

    @write.register
    def _(self, one: Int8Table) -> None:
        self.call("look_up", *self.places(one), self.size(one.output), self.constant(one, "table", one.table))

    @write.register
    def _(self, one: Rectified) -> None:
        self.statements[-1] = self.statements[-1].replace(" */", ", done: the smallest int8 stands for 0 */")

    @write.register
    def _(self, one: Int8MaxPool) -> None:
        self.call("max_pool_int8", *self.places(one), self.window(one, one.size, one.stride, one.padding))

    @write.register
    def _(self, one: Int8AveragePool) -> None:
        window = self.window(one, one.size, one.stride, one.padding)
        numbers = one.multiplier, one.shift, one.zero_x, one.zero
        self.call("average_pool_int8", *self.places(one), *numbers, window)

    @write.register
    def _(self, one: Int8Add) -> None:
        numbers = *one.multipliers, one.shift, *one.zeros, one.zero
        self.call("add_int8", *self.places(one), self.size(one.output), *numbers)

    @write.register
    def _(self, one: Int8Concatenate) -> None:
        self._concatenate(one, "copy_int8", "zeros_int8", one.zero)

    @write.register
    def _(self, one: Int8Softmax) -> None:
        names = self.constant(one, "exponentials", one.exponentials), f"{np.float32(one.steps)}f"
        sizes = one.shape[0], math.prod(one.shape[1:])
        self.call("softmax_int8", *self.places(one), *names, one.zero, *sizes)

    def integers(self, one: Requantized) -> list[str]:
        """The constants of what is requantized."""
        return [self.constant(one, name, getattr(one, name).ravel()) for name in ("W", "b", "multiplier", "shift")]

    def call(self, function: str, *arguments: object) -> None:
        """Append a statement, on two lines where it is long."""
        first, *rest = map(str, arguments)
        line = f"    {function}({first}"
        for argument in rest:
            last = line.rsplit("\n", 1)[-1]
            whole = len(last) + len(argument) + 2 <= MARGIN
            line += f", {argument}" if whole else f",\n{' ' * (5 + len(function))}{argument}"
        self.statements.append(f"{line});")

    def constant(self, one: Operation, suffix: str, values: Array) -> str:
        """The name of a new constant array."""
        key = one.path.lstrip(".") or _purpose(one)
        if (name := self._identifiers.get(key)) is None or f"{name}_{suffix}" in self.constants:
            name = self._identifiers[key] = self._unique.of(key)
        self.constants[f"{name}_{suffix}"] = values
        return f"{name}_{suffix}"

    def place(self, name: str) -> str:
        """Where a value lies, as C says it."""
        if name == INPUT:
            return "image"
        if name == PROBABILITIES:
            return "probabilities"
        if name == STRANGENESS:
            return "strangeness"
        return next(f"{block} + {plan.start[name]}" for block, plan in self.plans.values() if name in plan.start)

    def places(self, one: Operation) -> list[str]:
        return [*map(self.place, one.inputs), self.place(one.output)]

    def size(self, name: str) -> int:
        return math.prod(self.shapes[name])

    def window(self, one: Operation, size: Sequence[int], stride: Pair, padding: Padding) -> str:
        ((top, _), (left, _)) = padding
        fields = {
            "x": self.shapes[one.inputs[0]],
            "y": one.shape,
            "size": size,
            "stride": stride,
            "before": (top, left),
        }
        inside = ", ".join(f".{name} = {{{', '.join(map(str, values))}}}" for name, values in fields.items())
        return f"(struct window){{{inside}}}"


def _purpose(one: Operation) -> str:
    """What an operation that is of no layer does."""
    return "preparation" if INPUT in one.inputs else "probabilities"
