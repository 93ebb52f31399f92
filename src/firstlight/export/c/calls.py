"""The calls of C that make up a net, one an operation, with the constants and the memory that they name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import singledispatchmethod

import numpy as np

from firstlight.export.c.memory import planned
from firstlight.export.c.text import Identifiers, comment
from firstlight.export.inference_graph import (
    INPUT,
    PROBABILITIES,
    Activate,
    Add,
    AveragePool,
    BatchNorm,
    Concatenate,
    Convolution,
    Estimates,
    MaxPool,
    Operation,
    Prepare,
    Product,
    Reshape,
    Softmax,
)
from firstlight.kernels import Padding, Pair
from firstlight.layers.selu import ALPHA, SCALE
from firstlight.types import Array, Shape

MARGIN = 112


class Calls:
    """The statements of `firstlight_predict`, and the constants by name."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.shapes: dict[str, Shape] = {one.output: one.shape for one in operations}
        self.float_plan = planned(operations, self.shapes)
        self.constants: dict[str, Array] = {}
        self.statements: list[str] = []
        self._identifiers: dict[str, str] = {}
        self._unique = Identifiers()
        path = None
        for one in operations:
            if one.path != path:
                path = one.path
                shape = " x ".join(map(str, one.shape))
                self.statements.append(f"    /*{comment(path or self._purpose(one), ' ')}: {shape} */")
            self.write(one)

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
    def _(self, one: Convolution) -> None:
        W, b = self.constant(one, "W", one.W.ravel()), self.constant(one, "b", one.b)
        window = self.window(one, one.W.shape[2:], one.stride, one.padding)
        self.call("convolution", *self.places(one), W, b, window)

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
        y, at, each = self.place(one.output), 0, math.prod(one.shape[1:])
        parts = [(None, one.before), *((name, self.shapes[name][0]) for name in one.inputs), (None, one.after)]
        for name, channels in parts:
            size = channels * each
            if size:
                self.call(*(("zeros",) if name is None else ("copy", self.place(name))), f"{y} + {at}", size)
            at += size

    @write.register
    def _(self, one: Softmax) -> None:
        self.call("softmax", *self.places(one), one.shape[0], math.prod(one.shape[1:]))

    @write.register
    def _(self, one: Estimates) -> None:
        self.call("estimates", *self.places(one), self.size(one.output))

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
        key = one.path or self._purpose(one)
        if (name := self._identifiers.get(key)) is None or f"{name}_{suffix}" in self.constants:
            name = self._identifiers[key] = self._unique.of(key)
        self.constants[f"{name}_{suffix}"] = values
        return f"{name}_{suffix}"

    def place(self, name: str) -> str:
        """Where a value lies, as C says it."""
        if name == INPUT:
            return "image"
        return "probabilities" if name == PROBABILITIES else f"values + {self.float_plan.start[name]}"

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

    @staticmethod
    def _purpose(one: Operation) -> str:
        return "preparation" if isinstance(one, Prepare) else "probabilities"
