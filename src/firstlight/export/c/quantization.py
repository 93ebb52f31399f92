"""A net in int8: ranges calibrated on training images, and the operations that compute within them.

Each value has one scale and one zero, each output of a layer a scale of its weights (symmetric, −127 to 127), as in
Jacob et al. 2018. ReLU costs nothing where it alone reads a value: the smallest int8 then stands for 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import singledispatchmethod

import numpy as np

from firstlight.errors import ExportError
from firstlight.export.c.integer_operations import (
    Float,
    FloatProduct,
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
    nearest,
    saturated,
)
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
    Prepare,
    Product,
    Reshape,
    SampleNorm,
    Softmax,
)
from firstlight.export.reference import compute, values
from firstlight.randomness import generator
from firstlight.types import Array

NOT_INTEGERS: dict[type[Operation], str] = {
    Depthwise: "depthwise convolution",
    SampleNorm: "normalization of each image by itself",
}
IMAGES = 512  # for the calibration, where their values fit into `MOST_VALUES`
MOST_VALUES = 2**26
BEYOND = 1e-4
MOST_BIAS = 2**29  # of a sum, so that it stays below 2^31 with what is added to it
MOST_INPUTS = (2**31 - 1 - MOST_BIAS) // (127 * 255)


@dataclass(frozen=True)
class Scale:
    """An int8 q stands for scale · (q − zero)."""

    scale: float
    zero: int

    @classmethod
    def of(cls, low: float, high: float) -> Scale:
        """The scale for values from low to high and 0, which is held exactly."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = (high - low) / 255 or 1.0
        return cls(scale, int(np.clip(math.floor(-128 - low / scale + 0.5), -128, 127)))

    def held(self, x: Array) -> Array:
        """Numbers as int8."""
        return saturated(nearest(x / self.scale) + self.zero)

    @property
    def all(self) -> Array:
        """What the 256 int8 stand for, from −128 on."""
        return (np.arange(-128, 128) - self.zero) * self.scale


def chosen(count: int, operations: Sequence[Operation]) -> Array:
    """Which of `count` training images are calibrated on: drawn, the same each time."""
    largest = max(math.prod(one.shape) for one in operations)
    most = max(16, min(IMAGES, MOST_VALUES // largest))
    return np.sort(generator(0, "calibration").permutation(count)[:most])


def calibrated(operations: Sequence[Operation], pixels: Array) -> dict[str, tuple[float, float]]:
    """The range of each value over images uint8 (N, H, W, C), but for the share `BEYOND` of its values at each end.

    One outlier would otherwise choose the step for all; see docs/why/decisions for what was compared.
    """
    return {
        one.output: (float(np.quantile(y, BEYOND)), float(np.quantile(y, 1 - BEYOND)))
        for one, y in values(operations, pixels)
    }


def quantized(operations: Sequence[Operation], ranges: Mapping[str, tuple[float, float]]) -> tuple[Operation, ...]:
    """The operations in int8, from the image to the last sums; from there to the probabilities in float32.

    Raises ExportError where sums could leave int32.
    """
    return tuple(_Quantizer(operations, ranges).found)


def multiplied(real: float, most: int = 62) -> tuple[int, int]:
    """An int32 and a shift from 1 to `most`: multiplier / 2 ** shift is the real number, to 31 bits."""
    exponent = math.frexp(real)[1]
    shift = min(31 - exponent, most)
    multiplier = round(math.ldexp(real, shift))
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift - 1
    return (multiplier, shift) if shift >= 1 else (2**31 - 1, 1)


class _Quantizer:
    """Goes through the operations once. `found` are those of integers."""

    def __init__(self, operations: Sequence[Operation], ranges: Mapping[str, tuple[float, float]]) -> None:
        self.readers: dict[str, list[Operation]] = {}
        for one in operations:
            for name in one.inputs:
                self.readers.setdefault(name, []).append(one)
        self.tail = _tail(operations)
        self.scales = self._scales(operations, ranges)
        self.floats: dict[str, str] = {}
        self.found: list[Operation] = []
        for one in operations:
            if one.output in self.tail:
                self.found.append(replace(one, inputs=tuple(map(self._float, one.inputs))))
            else:
                self.found += self.integers(one)

    def _scales(self, operations: Sequence[Operation], ranges: Mapping[str, tuple[float, float]]) -> dict[str, Scale]:
        """That of each value: of its reader's result, where one reader alone passes it on."""
        found: dict[str, Scale] = {}
        for one in reversed(operations):
            own = Scale.of(*_levels(one)) if _by_levels(one) else Scale.of(*ranges[one.output])
            readers = self.readers.get(one.output, [])
            if len(readers) == 1 and (after := found.get(readers[0].output)):
                passes = isinstance(readers[0], Reshape | MaxPool | Concatenate) or (
                    _is_relu(readers[0]) and after.zero == -128
                )
                own = after if passes and readers[0].output not in self.tail else own
            found[one.output] = own
        return found

    def _float(self, name: str) -> str:
        """The name of a value as float32, made so where it is int8."""
        if name in self.tail or name in self.floats:
            return self.floats.get(name, name)
        before = next(one for one in self.found if one.output == name)
        self.floats[name] = f"{name}.float"
        scale = self.scales[name]
        self.found.append(Float(before.path, (name,), self.floats[name], before.shape, scale.scale, scale.zero))
        return self.floats[name]

    @singledispatchmethod
    def integers(self, one: Operation) -> Iterable[Operation]:
        """The operations of integers in the place of one."""
        what = NOT_INTEGERS.get(type(one), type(one).__name__.lower())
        raise ExportError(f"int8 has no {what} within a net, as {one.path} is. Export it with weights in float32.")

    @integers.register
    def _(self, one: Prepare) -> Iterable[Operation]:
        y, flat = self.scales[one.output], one.scale.ravel()
        if one.per_image:
            if (flat != flat[0]).any() or one.shift.any():
                raise ExportError("int8 standardizes an image by itself after one scale for all its pixels alone.")
            yield Int8PrepareImage(*_place(one), y.zero, 1 / y.scale)
        elif _by_levels(one):
            levels = np.arange(256) * one.scale[:, 0, :1].astype(np.float64) + one.shift[:, 0, :1]
            yield Int8Prepare(*_place(one), y.zero, y.held(levels))
        else:
            scale, shift = ((a / y.scale).astype(np.float32) for a in (one.scale, one.shift))
            yield Int8PreparePixels(*_place(one), y.zero, scale, shift)

    @integers.register
    def _(self, one: Convolution) -> Iterable[Operation]:
        W, b, step = self._weights(one.path, one.W, one.b, self.scales[one.inputs[0]], 127)
        yield Int8Convolution(
            *_place(one), self.scales[one.output].zero, W.astype(np.int8), b, *self._requantized(one, step),
            self.scales[one.inputs[0]].zero, one.stride, one.padding,
        )  # fmt: skip

    @integers.register
    def _(self, one: Product) -> Iterable[Operation]:
        x, y = self.scales[one.inputs[0]], self.scales[one.output]
        W, b, step = self._weights(one.path, one.W, one.b, x, 127)
        readers = self.readers.get(one.output, [])
        if readers and all(reader.output in self.tail for reader in readers):
            self.floats[one.output] = one.output
            yield FloatProduct(*_place(one), W.astype(np.int8), b, step.astype(np.float32), x.zero)
        else:
            yield Int8Product(*_place(one), y.zero, W.astype(np.int8), b, *self._requantized(one, step), x.zero)

    @integers.register
    def _(self, one: BatchNorm) -> Iterable[Operation]:
        x, y = self.scales[one.inputs[0]], self.scales[one.output]
        W, b, step = self._weights(one.path, one.scale, one.shift, x, 32767)
        yield Int8BatchNorm(*_place(one), y.zero, W.astype(np.int16), b, *self._requantized(one, step), x.zero)

    @integers.register
    def _(self, one: Activate) -> Iterable[Operation]:
        x, y = self.scales[one.inputs[0]], self.scales[one.output]
        if _is_relu(one) and x == y and y.zero == -128:
            yield Rectified(*_place(one), y.zero)
        else:
            yield Int8Table(*_place(one), y.zero, y.held(compute(one, x.all)))

    @integers.register
    def _(self, one: MaxPool) -> Iterable[Operation]:
        pool = Int8MaxPool(*_place(one), self.scales[one.output].zero, one.size, one.stride, one.padding)
        return self._rescaled(pool, self.scales[one.inputs[0]])

    @integers.register
    def _(self, one: Reshape) -> Iterable[Operation]:
        return self._rescaled(one, self.scales[one.inputs[0]])

    @integers.register
    def _(self, one: AveragePool) -> Iterable[Operation]:
        x, y = self.scales[one.inputs[0]], self.scales[one.output]
        factor = multiplied(x.scale / y.scale, 40)  # a count of pixels is shifted by it
        yield Int8AveragePool(*_place(one), y.zero, one.size, one.stride, one.padding, *factor, x.zero)

    @integers.register
    def _(self, one: Add) -> Iterable[Operation]:
        x, z, y = (self.scales[name] for name in (*one.inputs, one.output))
        ratios = x.scale / y.scale, z.scale / y.scale
        shift = min(30, max(1, 21 - math.frexp(max(ratios))[1]))  # so that no product reaches 2^30
        first, second = (min(round(math.ldexp(ratio, shift)), 2**21) for ratio in ratios)
        yield Int8Add(*_place(one), y.zero, (first, second), shift, (x.zero, z.zero))

    @integers.register
    def _(self, one: Concatenate) -> Iterable[Operation]:
        y, names = self.scales[one.output], []
        for number, name in enumerate(one.inputs):
            x, shape = self.scales[name], next(at.shape for at in self.found if at.output == name)
            names.append(name if x == y else f"{one.output}.{number}")
            if x != y:
                yield Int8Table(one.path, (name,), names[-1], shape, y.zero, y.held(x.all))
        yield Int8Concatenate(one.path, tuple(names), one.output, one.shape, y.zero, one.before, one.after)

    @integers.register
    def _(self, one: Softmax) -> Iterable[Operation]:
        x, y = self.scales[one.inputs[0]], self.scales[one.output]
        exponentials = np.exp(-np.arange(256) * x.scale).astype(np.float32)
        yield Int8Softmax(*_place(one), y.zero, exponentials, float(np.float32(1 / y.scale)))

    def _rescaled(self, one: Operation, x: Scale) -> Iterable[Operation]:
        """What passes values on, and then another scale where its reader wants one."""
        y = self.scales[one.output]
        if x == y:
            return [one]
        before = replace(one, output=f"{one.output}.before")
        return [before, Int8Table(one.path, (before.output,), one.output, one.shape, y.zero, y.held(x.all))]

    def _weights(self, path: str, W: Array, b: Array, x: Scale, most: int) -> tuple[Array, Array, Array]:
        """Integers up to `most` by output, biases int32, and what one step of the sums is worth, float64."""
        rows = W.reshape(len(W), -1).astype(np.float64)
        if rows.shape[1] > MOST_INPUTS:
            raise ExportError(f"{path} adds {rows.shape[1]:,} products; int8 has sums for {MOST_INPUTS:,} at most.")
        step = np.maximum(np.abs(rows).max(axis=1) / most, np.abs(b) / (x.scale * MOST_BIAS))
        step[step == 0] = 1.0
        whole = np.rint(rows / step[:, None]).reshape(W.shape)
        return whole, np.rint(b / (step * x.scale)).astype(np.int32), step * x.scale

    def _requantized(self, one: Operation, step: Array) -> tuple[Array, Array]:
        """The multipliers and shifts of each output."""
        pairs = [multiplied(float(each) / self.scales[one.output].scale) for each in step]
        multiplier, shift = zip(*pairs, strict=True)
        return np.array(multiplier, np.int32), np.array(shift, np.uint8)


def _place(one: Operation) -> tuple[str, tuple[str, ...], str, tuple[int, ...]]:
    return one.path, one.inputs, one.output, one.shape


def _is_relu(one: Operation) -> bool:
    return isinstance(one, Activate) and one.function == "relu"


def _tail(operations: Sequence[Operation]) -> set[str]:
    """What the last operations give that are of vectors and no products: they stay in float32."""
    found: set[str] = set()
    for one in reversed(operations):
        if len(one.shape) > 1 or isinstance(one, Product):
            break
        found.add(one.output)
    return found


def _by_levels(one: Operation) -> bool:
    """Whether a preparation is a table of 256 levels for each channel."""
    if not isinstance(one, Prepare) or one.per_image:
        return False
    return all((a == a[:, :1, :1]).all() for a in (one.scale, one.shift))


def _levels(one: Operation) -> tuple[float, float]:
    """The least and the largest that a preparation by levels gives."""
    assert isinstance(one, Prepare)
    ends = [level * one.scale[:, 0, 0].astype(np.float64) + one.shift[:, 0, 0] for level in (0, 255)]
    return float(np.min(ends)), float(np.max(ends))
