"""The net in use as a list of operations, from which every format is written.

A layer records itself here as it does for the compiled kernels, by `Layer.record`: what can train compiled can leave.
Arrays are one image's, channels first: (C, H, W) or (features,); a format that wants a batch puts it first.
"""

# ruff: noqa: E741  (O is the number of filters)

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from firstlight.engines import Task
from firstlight.engines.features import FeatureNet
from firstlight.errors import ModelError
from firstlight.evaluation.novelty import ClassDistances
from firstlight.kernels import Padding, Pair, output_size
from firstlight.kernels.graph import Graph, Memory, NotRecordedError, Recorded, Slot, Value
from firstlight.types import Array, Shape

# Names of values; no path of a layer begins with a full stop.
INPUT = ".image"
PROBABILITIES = ".probabilities"
STRANGENESS = ".strangeness"

NOVELTY = ".novelty"  # path of what tells images of none of the classes, which belongs to no layer


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation of the net; a subclass adds what it computes with.

    path    of the layer that it belongs to, such as "block1.conv1"; "" for preparation and probabilities
    inputs  the names of the values it takes; INPUT is the image, uint8 (H, W, C)
    output  the name of the value it gives: the path of the layer whose result that is, else "." and a number
    shape   of that for one image
    """

    path: str
    inputs: tuple[str, ...]
    output: str
    shape: Shape


@dataclass(frozen=True, eq=False)
class Prepare(Operation):
    """x (C, H, W) = image · scale + shift, float32 (C, H, W) each; then each image by itself where `per_image`.

    That is (x − mean) / std over all values of the image, 1 in the place of a std of 0; see `prepare.standardized`.
    """

    scale: Array
    shift: Array
    per_image: bool


@dataclass(frozen=True, eq=False)
class Convolution(Operation):
    """y[o, i, j] = b[o] + Σ W[o, c, k, l] x[c, i·stride + k − top, j·stride + l − left], zeros outside the image.

    W        float32 (O, C, kh, kw); b float32 (O,)
    padding  ((top, bottom), (left, right))
    """

    W: Array
    b: Array
    stride: Pair
    padding: Padding


@dataclass(frozen=True, eq=False)
class Depthwise(Operation):
    """y[o] = b[o] + Σ W[o, k, l] x[o // m], as in `Convolution`, with m = O / C filters for each channel of x.

    W        float32 (O, 1, kh, kw); b float32 (O,)
    padding  ((top, bottom), (left, right))
    """

    W: Array
    b: Array
    stride: Pair
    padding: Padding


@dataclass(frozen=True, eq=False)
class Product(Operation):
    """y = W x + b: W float32 (O, K), b float32 (O,), x (K,)."""

    W: Array
    b: Array


Weighted = Convolution | Depthwise | Product  # what has weights W and b


@dataclass(frozen=True, eq=False)
class Activate(Operation):
    """y = f(x) value by value: one of `kernels.ops.activation`, whose layers have the formulas; its constant."""

    function: str
    constant: float


@dataclass(frozen=True, eq=False)
class MaxPool(Operation):
    """The largest value of each window; padding, as in `Convolution`, never wins."""

    size: Pair
    stride: Pair
    padding: Padding


@dataclass(frozen=True, eq=False)
class AveragePool(Operation):
    """The mean of each window over the pixels that lie inside the image."""

    size: Pair
    stride: Pair
    padding: Padding


@dataclass(frozen=True, eq=False)
class BatchNorm(Operation):
    """y[c] = γ[c] (x[c] − mean[c]) / √(var[c] + ε) + β[c] = scale[c] x[c] + shift[c], float32 (C,) each."""

    gamma: Array
    beta: Array
    mean: Array
    var: Array
    epsilon: float

    @cached_property
    def scale(self) -> Array:
        """γ / √(var + ε)."""
        return self._whole[0].astype(np.float32)

    @cached_property
    def shift(self) -> Array:
        """β − mean · scale."""
        return self._whole[1].astype(np.float32)

    @property
    def _whole(self) -> tuple[Array, Array]:
        gamma, beta, mean, var = (a.astype(np.float64) for a in (self.gamma, self.beta, self.mean, self.var))
        scale = gamma / np.sqrt(var + self.epsilon)
        return scale, beta - mean * scale


@dataclass(frozen=True, eq=False)
class SampleNorm(Operation):
    """y[c] = γ[c] (x[c] − μ) / √(σ² + ε) + β[c], γ and β float32 (C,): μ and σ² of each of `groups` of channels.

    over_pixels  whether they go over all pixels too (group norm), or each pixel has its own (layer norm)
    """

    gamma: Array
    beta: Array
    groups: int
    over_pixels: bool
    epsilon: float

    @property
    def seen(self) -> Shape:
        """x as (groups, values that are averaged over, others)."""
        pixels = math.prod(self.shape[1:])
        channels = self.shape[0] // self.groups
        return (self.groups, channels * pixels, 1) if self.over_pixels else (self.groups, channels, pixels)


@dataclass(frozen=True, eq=False)
class Reshape(Operation):
    """The same numbers in another shape, in the order of (C, H, W)."""


@dataclass(frozen=True, eq=False)
class Add(Operation):
    """The sum of two values."""


@dataclass(frozen=True, eq=False)
class Concatenate(Operation):
    """The inputs one after another along the first axis, with so many channels of zeros before and after."""

    before: int
    after: int


@dataclass(frozen=True, eq=False)
class Softmax(Operation):
    """exp xₖ / Σⱼ exp xⱼ over the first axis, with the largest x taken off first."""


@dataclass(frozen=True, eq=False)
class Estimates(Operation):
    """max(x, 0) / Σ max(x, 0); 1 for the largest x and 0 for the others where none is positive.

    What `losses.MeanSquaredError` takes for probabilities.
    """


@dataclass(frozen=True, eq=False)
class Mean(Operation):
    """The mean of the inputs, value by value: what nets that answer together say."""


@dataclass(frozen=True, eq=False)
class Strangeness(Operation):
    """minₖ |W u − cₖ| with u = x / max(|x|, SMALLEST): how far features x (F,) lie from the classes, (1,).

    Above 1, an image is of none of them: W float32 (R, F) and c float32 (M, R) are those of
    `evaluation.novelty.ClassDistances`, divided by the threshold.
    """

    W: Array
    c: Array


class InferenceGraph(Graph):
    """Records the operations of a net in evaluation. `vector` has all weights, as `weights.Layout` puts them."""

    def __init__(self, input_shape: Shape, vector: Array) -> None:
        super().__init__(input_shape, training=False)
        self.vector = vector
        self.operations: list[Operation] = []
        self._names: dict[Value, str] = {}

    def through(self, layer: Recorded, name: str, p: Mapping[str, Any], x: Value, path: str) -> Value:
        """See `Graph.through`; the result of a layer is called by its path."""
        y = super().through(layer, name, p, x, path)
        whole, last = f"{path}.{name}" if path else name, self.operations[-1]
        if self._names[y] == last.output and last.path == whole and last.output != whole:
            self.operations[-1] = replace(last, output=whole)
            self._names[y] = whole
        return y

    def prepare(self, scale: Array, shift: Array, per_image: bool) -> Value:
        """The net's input from the image."""
        image = Value(self.input_shape, Memory(0))
        self._names[image] = INPUT
        return self._note(Prepare, [image], self.input_shape, scale=scale, shift=shift, per_image=per_image)

    def apply(self, name: str, *inputs: Any, **settings: Any) -> Value:
        """The operation called `name`, where it is among those that an exported net can be made of."""
        note = getattr(self, name, None)
        if note is None:
            raise NotRecordedError(f"{self.path} ({name}, which no exported format has)")
        noted: Value = note(*inputs, **settings)
        return noted

    def conv2d(self, x: Value, W: Slot, b: Slot | None, stride: Pair, padding: Padding) -> Value:
        return self._convolution(Convolution, x, W, b, stride, padding)

    def product(self, x: Value, W: Slot, b: Slot | None) -> Value:
        O = W.shape[0]
        return self._note(Product, [x], (O,), W=self._array(W), b=self._bias(b, O))

    def activation(self, x: Value, name: str, constant: float = 0.0) -> Value:
        return self._note(Activate, [x], x.shape, function=name, constant=constant)

    def max_pool(self, x: Value, size: Pair, stride: Pair, padding: Padding) -> Value:
        return self._pool(MaxPool, x, size, stride, padding)

    def avg_pool(self, x: Value, size: Pair, stride: Pair, padding: Padding) -> Value:
        return self._pool(AveragePool, x, size, stride, padding)

    def batch_norm(self, x: Value, p: Mapping[str, Slot], momentum: float, epsilon: float, path: str) -> Value:
        arrays = {name: self._array(p[name]) for name in ("gamma", "beta", "mean", "var")}
        return self._note(BatchNorm, [x], x.shape, epsilon=epsilon, **arrays)

    def depthwise_conv2d(self, x: Value, W: Slot, b: Slot | None, stride: Pair, padding: Padding) -> Value:
        """See `Depthwise`."""
        return self._convolution(Depthwise, x, W, b, stride, padding)

    def normalize_sample(
        self, x: Value, gamma: Slot, beta: Slot, groups: int, over_pixels: bool, epsilon: float
    ) -> Value:
        """See `SampleNorm`."""
        arrays = {"gamma": self._array(gamma), "beta": self._array(beta)}
        return self._note(SampleNorm, [x], x.shape, groups=groups, over_pixels=over_pixels, epsilon=epsilon, **arrays)

    def dropout(self, x: Value, rate: float, path: str) -> Value:
        return x

    def reshape(self, x: Value, shape: Shape) -> Value:
        return x if x.shape == shape else self._note(Reshape, [x], shape)

    def branch(self, x: Value) -> Value:
        return x

    def add(self, x: Value, z: Value) -> Value:
        return self._note(Add, [x, z], x.shape)

    def concat(self, parts: Sequence[Value], before: int = 0, after: int = 0) -> Value:
        channels = before + sum(part.shape[0] for part in parts) + after
        shape = (channels, *parts[0].shape[1:])
        return self._note(Concatenate, parts, shape, before=before, after=after)

    def softmax(self, x: Value) -> Value:
        return self._note(Softmax, [x], x.shape)

    def estimates(self, x: Value) -> Value:
        """See `Estimates`."""
        return self._note(Estimates, [x], x.shape)

    def strangeness(self, y: Value, width: int, distances: ClassDistances) -> None:
        """How strange the image is, see `Strangeness`, where y are the raw outputs.

        width  of the features, see `engines.features.FeatureNet`
        """
        self.path = NOVELTY
        x = self._features(y, width)
        arrays = {"W": distances.whitening, "c": distances.centres}
        self._note(Strangeness, [x], (1,), **arrays)
        self.operations[-1] = replace(self.operations[-1], output=STRANGENESS)
        self.path = ""

    def _features(self, y: Value, width: int) -> Value:
        """What the last layer with weights reads, or the means of these maps; the raw outputs for a width of 0."""
        if not width:
            return y
        given = {one.output: one for one in self.operations}
        read = head(self.operations).inputs[0]
        if isinstance(given[read], Reshape) and given[read].shape != (width,):
            read = given[read].inputs[0]
        x = next(value for value, name in self._names.items() if name == read)
        if len(x.shape) == 1:
            return x
        size = (x.shape[1], x.shape[2])
        return self.reshape(self.avg_pool(x, size, size, ((0, 0), (0, 0))), x.shape[:1])

    def finish(self, y: Value) -> None:
        """y, which the last operation gives, are the probabilities."""
        self.operations[-1] = replace(self.operations[-1], output=PROBABILITIES)

    def _note(self, kind: Callable[..., Operation], inputs: Sequence[Value], shape: Shape, **rest: Any) -> Value:
        value = Value(shape, Memory(math.prod(shape)))
        name = self._names[value] = f".{len(self.operations)}"
        names = tuple(self._names[x] for x in inputs)
        self.operations.append(kind(path=self.path, inputs=names, output=name, shape=shape, **rest))
        return value

    def _convolution(
        self, kind: Callable[..., Operation], x: Value, W: Slot, b: Slot | None, stride: Pair, padding: Padding
    ) -> Value:
        O, _, kh, kw = W.shape
        out = output_size((x.shape[1], x.shape[2]), (kh, kw), stride, padding)
        weights, bias = self._array(W), self._bias(b, O)
        return self._note(kind, [x], (O, *out), W=weights, b=bias, stride=stride, padding=padding)

    def _pool(self, kind: Callable[..., Operation], x: Value, size: Pair, stride: Pair, padding: Padding) -> Value:
        out = output_size((x.shape[1], x.shape[2]), size, stride, padding)
        return self._note(kind, [x], (x.shape[0], *out), size=size, stride=stride, padding=padding)

    def _array(self, slot: Slot) -> Array:
        return self.vector[slot.start : slot.start + math.prod(slot.shape)].reshape(slot.shape).astype(np.float32)

    def _bias(self, slot: Slot | None, outputs: int) -> Array:
        return np.zeros(outputs, np.float32) if slot is None else self._array(slot)


def operations_of(task: Task, vector: Array, distances: ClassDistances | None = None) -> tuple[Operation, ...]:
    """The operations of a trained net, from the uint8 image to the probabilities of the classes, which come last.

    vector     all weights, as `task.model.layout` puts them
    distances  from the classes, divided by the threshold, where `Strangeness` is to be among the operations
    Raises ModelError where a layer of the net cannot be written down, which one says.
    """
    model = task.model
    graph = InferenceGraph(model.channels_first, vector)
    scale, shift = task.preparation.scale_shift(np.float32)
    x = graph.prepare(scale, shift, task.preparation.per_image)
    try:
        y = task.trained_layers().record(graph, model.layout.slots, x, "")
    except NotRecordedError as error:
        raise ModelError(
            f"{model.name} cannot be exported: the layer {error} does not say of which operations it consists. Give it "
            "a method `record`, as the layers of firstlight have."
        ) from None
    if distances is not None:
        graph.strangeness(y, FeatureNet.of(task).width, distances)
    graph.finish(task.loss.record_probabilities(graph, y))
    return tuple(graph.operations)


def head(operations: Sequence[Operation]) -> Operation:
    """The first operation of the last layer with weights, which reads the features of `engines.features.FeatureNet`."""
    last = next(one for one in reversed(operations) if isinstance(one, Weighted))
    return next(one for one in operations if one.path == last.path)


def tells_strangeness(operations: Sequence[Operation]) -> bool:
    """Whether how strange an image is, is among the values."""
    return any(one.output == STRANGENESS for one in operations)


def side_by_side(nets: Sequence[Sequence[Operation]]) -> tuple[Operation, ...]:
    """The operations of nets one after another, and the mean of their probabilities.

    Where all tell how strange an image is, so does the mean of that; otherwise none of them does.
    Paths and values of each have `prefix(number)` before them; preparations that are the same are made once.
    """
    found: list[Operation] = []
    prepared: list[Prepare] = []
    all_tell = all(map(tells_strangeness, nets))
    if not all_tell:
        nets = [[one for one in operations if one.path != NOVELTY] for operations in nets]
    for number, operations in enumerate(nets):
        names = {INPUT: INPUT}
        for one in operations:
            earlier = next((p for p in prepared if _same(p, one)), None) if isinstance(one, Prepare) else None
            if earlier is not None:
                names[one.output] = earlier.output
                continue
            inner, named = one.output.lstrip("."), one.output.startswith(".")
            names[one.output] = f"{'.' * named}{prefix(number)}{inner}"
            path = f"{prefix(number)}{one.path}".rstrip(".")
            inputs = tuple(names[name] for name in one.inputs)
            found.append(replace(one, path=path, inputs=inputs, output=names[one.output]))
            if isinstance(found[-1], Prepare):
                prepared.append(found[-1])
    if len(prepared) == 1:  # it is of all
        found[0] = replace(found[0], path="")

    def mean(output: str, shape: Shape, path: str = "") -> Mean:
        each = [f".{prefix(number)}{output[1:]}" for number in range(len(nets))]
        return Mean(path, tuple(each), output, shape)

    told = [mean(STRANGENESS, (1,), NOVELTY)] if all_tell else []
    return (*found, *told, mean(PROBABILITIES, nets[0][-1].shape))


def prefix(net: int) -> str:
    """What stands before the paths of one of several nets, of which the first has the number 0: "net1."."""
    return f"net{net + 1}."


def _same(one: Prepare, other: Prepare) -> bool:
    arrays = ((one.scale, other.scale), (one.shift, other.shift))
    return one.per_image == other.per_image and all(np.array_equal(*pair) for pair in arrays)


def folded(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """The operations with each batch norm that alone reads a convolution or a product made a part of it."""
    readers: dict[str, int] = {}
    for one in operations:
        for name in one.inputs:
            readers[name] = readers.get(name, 0) + 1
    found: dict[str, Operation] = {}
    for one in operations:
        before = found.get(one.inputs[0]) if isinstance(one, BatchNorm) else None
        if isinstance(one, BatchNorm) and isinstance(before, Weighted) and readers[before.output] == 1:
            scale = one.scale.reshape(-1, *[1] * (before.W.ndim - 1))
            W, b = (before.W * scale).astype(np.float32), (before.b * one.scale + one.shift).astype(np.float32)
            del found[before.output]
            found[one.output] = replace(before, W=W, b=b, output=one.output)
        else:
            found[one.output] = one
    return tuple(found.values())
