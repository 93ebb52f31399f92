"""The operations of a net as nodes of an ONNX graph.

A layer's node is called by its path, and so is its value; its weights are called as in the run, such as "conv1.W".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from firstlight.evaluation.novelty import SMALLEST
from firstlight.export.exportable import Exportable
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
    Weighted,
)
from firstlight.kernels import Padding
from firstlight.layers.selu import ALPHA, SCALE
from firstlight.records.model import LayerRecord
from firstlight.text import encodable
from firstlight.types import Array

# The names of the graph's input and of its outputs.
IMAGES, ANSWERS, CLASS, STRANGE = "images", "probabilities", "class", "strangeness"


class Nodes:
    """The nodes of a model, its constants (weights, mostly), and the types of the values between."""

    def __init__(self, model: Exportable) -> None:
        from onnx import TensorProto, helper

        self.helper, self.types = helper, TensorProto
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.values: list[Any] = []
        self.shapes = {INPUT: model.input_shape} | {one.output: one.shape for one in model.operations}
        self._weights = model.arrays
        self._names = {INPUT: IMAGES, PROBABILITIES: ANSWERS}  # of values: those of the operations -> the file's
        self._taken = {IMAGES, ANSWERS, CLASS, STRANGE}
        self._node_names: set[str] = set()
        rows = model.task.model.summary()
        self._rows = {f"{before}{row.name}": row for before in model.prefixes for row in rows}
        whole, trained = model.task.model.layers.named(), model.task.trained_layers().layers
        # A last activation that the loss contains is what gives the probabilities.
        self._last = whole[-1][0] if len(trained) < len(whole) and not model.nets else ANSWERS
        for one in model.operations:
            write(one, self)
        self._node("ArgMax", [ANSWERS], CLASS, CLASS, axis=1, keepdims=0)
        if STRANGENESS in self._names:
            self._node(
                "Squeeze", [self._names[STRANGENESS], self.constant("novelty.axis", [1], np.int64)], STRANGE, STRANGE
            )

    def inputs(self, one: Operation) -> list[str]:
        """The names of what an operation takes."""
        return [self._names[name] for name in one.inputs]

    def layer(self, kind: str, one: Operation, inputs: Sequence[str], **attributes: Any) -> None:
        """The node that gives the value of an operation."""
        base = one.path.lstrip(".") or ("prepare" if isinstance(one, Prepare) else self._last)
        if one.output not in self._names:
            usual = f"{base}.{kind.lower()}" if one.output.startswith(".") else one.output
            name = self._names[one.output] = self._unique(usual)
            self.values.append(self.helper.make_tensor_value_info(name, self.types.FLOAT, ["N", *one.shape]))
        self._node(kind, inputs, self._names[one.output], base, **attributes)

    def step(self, kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """A node on the way to the value of an operation; the name of what it gives."""
        name = self._unique(name)
        self._node(kind, inputs, name, name, **attributes)
        return name

    def constant(self, name: str, values: ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        """An array that is kept; its name in the file."""
        from onnx import numpy_helper

        name = self._unique(name)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype), name))
        return name

    def weights(self, one: Weighted) -> list[str]:
        """W, and b where the layer has one."""
        names = [self.constant(f"{one.path}.W", one.W)]
        if (f"{one.path}.b" in self._weights and not isinstance(one, Depthwise)) or one.b.any():
            names.append(self.constant(f"{one.path}.b", one.b))
        return names

    def _node(self, kind: str, inputs: Sequence[str], output: str, name: str, **attributes: Any) -> None:
        row = self._rows.get(name)
        while encodable(name) in self._node_names:
            name = f"{name}.{kind.lower()}"
        self._node_names.add(encodable(name))
        about = _about(row) if row else None
        self.nodes.append(self.helper.make_node(kind, inputs, [output], encodable(name), about, **attributes))

    def _unique(self, name: str) -> str:
        name = encodable(name)
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def _about(row: LayerRecord) -> str:
    counted = f", {row.parameters:,} parameters" if row.parameters else ""
    return f"{row.type}: {' × '.join(map(str, row.output_shape))}{counted}"


@singledispatch
def write(one: Operation, nodes: Nodes) -> None:
    """Add an operation to the nodes."""
    raise NotImplementedError(type(one).__name__)


@write.register
def _(one: Prepare, nodes: Nodes) -> None:
    scale = nodes.constant("prepare.scale", _per_channel(one.scale))
    shift = nodes.constant("prepare.shift", _per_channel(one.shift))
    x = nodes.step("Transpose", nodes.inputs(one), "prepare.channels_first", perm=[0, 3, 1, 2])
    x = nodes.step("Cast", [x], "prepare.float32", to=nodes.types.FLOAT)
    x = nodes.step("Mul", [x, scale], "prepare.scaled")
    if not one.per_image:
        nodes.layer("Add", one, [x, shift])
        return
    # In float64, as the engine does it: the mean of equal values is then that value itself, and their deviation 0.
    x = nodes.step("Add", [x, shift], "prepare.shifted")
    x = nodes.step("Cast", [x], "prepare.float64", to=nodes.types.DOUBLE)
    axes = nodes.constant("prepare.axes", [1, 2, 3], np.int64)
    apart = nodes.step("Sub", [x, nodes.step("ReduceMean", [x, axes], "prepare.mean")], "prepare.apart")
    squares = nodes.step("Mul", [apart, apart], "prepare.squares")
    std = nodes.step("Sqrt", [nodes.step("ReduceMean", [squares, axes], "prepare.variance")], "prepare.std")
    # Where it is 0, all values are already; any divisor but 0 keeps them.
    least = nodes.constant("prepare.least", np.finfo(np.float64).tiny, np.float64)
    x = nodes.step("Div", [apart, nodes.step("Max", [std, least], "prepare.divisor")], "prepare.standardized")
    nodes.layer("Cast", one, [x], to=nodes.types.FLOAT)


def _per_channel(array: Array) -> Array:
    """(C, 1, 1) of (C, H, W) where the pixels of a channel have the same."""
    first = array[:, :1, :1]
    return first if (array == first).all() else array


@write.register
def _(one: Convolution | Depthwise, nodes: Nodes) -> None:
    window = {"kernel_shape": one.W.shape[2:], "strides": one.stride, "pads": _pads(one.padding)}
    group = {"group": nodes.shapes[one.inputs[0]][0]} if isinstance(one, Depthwise) else {}
    nodes.layer("Conv", one, [*nodes.inputs(one), *nodes.weights(one)], **group, **window)


@write.register
def _(one: SampleNorm, nodes: Nodes) -> None:
    """By the operations that every version has: (N, groups, values, others), as `seen` puts it, and back."""

    def step(kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        return nodes.step(kind, inputs, f"{one.path}.{name}", **attributes)

    def constant(name: str, values: ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        return nodes.constant(f"{one.path}.{name}", values, dtype)

    axis = constant("norm.axis", [2], np.int64)
    x = step("Reshape", [*nodes.inputs(one), constant("norm.seen", [0, *one.seen], np.int64)], "groups")
    apart = step("Sub", [x, step("ReduceMean", [x, axis], "average")], "apart")
    variance = step("ReduceMean", [step("Mul", [apart, apart], "squares"), axis], "variance")
    deviation = step("Sqrt", [step("Add", [variance, constant("norm.epsilon", [one.epsilon])], "steady")], "deviation")
    x_hat = step("Div", [apart, deviation], "standardized")
    back = step("Reshape", [x_hat, constant("shape", [0, *one.shape], np.int64)], "back")
    channels = (-1, *[1] * (len(one.shape) - 1))
    scaled = step("Mul", [back, constant("gamma", one.gamma.reshape(channels))], "scaled")
    nodes.layer("Add", one, [scaled, constant("beta", one.beta.reshape(channels))])


@write.register
def _(one: Product, nodes: Nodes) -> None:
    nodes.layer("Gemm", one, [*nodes.inputs(one), *nodes.weights(one)], transB=1)


@write.register
def _(one: Activate, nodes: Nodes) -> None:
    if one.function in ("silu", "mish"):  # younger versions have them as operations of their own
        [x] = nodes.inputs(one)
        base = one.path.lstrip(".")
        if one.function == "silu":
            factor = nodes.step("Sigmoid", [x], f"{base}.sigmoid")
        else:
            factor = nodes.step("Tanh", [nodes.step("Softplus", [x], f"{base}.softplus")], f"{base}.tanh")
        nodes.layer("Mul", one, [x, factor])
        return
    known: dict[str, tuple[str, dict[str, Any]]] = {
        "relu": ("Relu", {}),
        "leaky": ("LeakyRelu", {"alpha": one.constant}),
        "elu": ("Elu", {"alpha": one.constant}),
        "selu": ("Selu", {"alpha": ALPHA, "gamma": SCALE}),
        "sigmoid": ("Sigmoid", {}),
        "tanh": ("Tanh", {}),
        "gelu": ("Gelu", {}),
    }
    kind, attributes = known[one.function]
    nodes.layer(kind, one, nodes.inputs(one), **attributes)


@write.register
def _(one: MaxPool, nodes: Nodes) -> None:
    window = {"kernel_shape": one.size, "strides": one.stride, "pads": _pads(one.padding)}
    nodes.layer("MaxPool", one, nodes.inputs(one), **window)


@write.register
def _(one: AveragePool, nodes: Nodes) -> None:
    pads = _pads(one.padding)
    if one.size == nodes.shapes[one.inputs[0]][1:] and not any(pads):
        nodes.layer("GlobalAveragePool", one, nodes.inputs(one))
        return
    window = {"kernel_shape": one.size, "strides": one.stride, "pads": pads}
    nodes.layer("AveragePool", one, nodes.inputs(one), count_include_pad=0, **window)


def _pads(padding: Padding) -> list[int]:
    (top, bottom), (left, right) = padding
    return [top, left, bottom, right]


@write.register
def _(one: BatchNorm, nodes: Nodes) -> None:
    arrays = {"gamma": one.gamma, "beta": one.beta, "mean": one.mean, "var": one.var}
    names = [nodes.constant(f"{one.path}.{name}", array) for name, array in arrays.items()]
    nodes.layer("BatchNormalization", one, [*nodes.inputs(one), *names], epsilon=one.epsilon)


@write.register
def _(one: Reshape, nodes: Nodes) -> None:
    if len(one.shape) == 1:
        nodes.layer("Flatten", one, nodes.inputs(one))
        return
    shape = nodes.constant(f"{one.path}.shape", [0, *one.shape], np.int64)  # 0: as many images as come in
    nodes.layer("Reshape", one, [*nodes.inputs(one), shape])


@write.register
def _(one: Add, nodes: Nodes) -> None:
    nodes.layer("Add", one, nodes.inputs(one))


@write.register
def _(one: Concatenate, nodes: Nodes) -> None:
    inputs = nodes.inputs(one)
    if not (one.before or one.after):
        nodes.layer("Concat", one, inputs, axis=1)
        return
    if len(inputs) > 1:
        inputs = [nodes.step("Concat", inputs, f"{one.path}.concat", axis=1)]
    pixels = [0] * (len(one.shape) - 1)
    pads = nodes.constant(f"{one.path}.pads".lstrip("."), [0, one.before, *pixels, 0, one.after, *pixels], np.int64)
    nodes.layer("Pad", one, [*inputs, pads])


@write.register
def _(one: Softmax, nodes: Nodes) -> None:
    nodes.layer("Softmax", one, nodes.inputs(one), axis=1)


@write.register
def _(one: Strangeness, nodes: Nodes) -> None:
    path = one.path.lstrip(".")

    def step(kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        return nodes.step(kind, inputs, f"{path}.{name}", **attributes)

    [x] = nodes.inputs(one)
    first, second = (nodes.constant(f"{path}.axis{axis}", [axis], np.int64) for axis in (1, 2))
    least = nodes.constant(f"{path}.least", SMALLEST)
    u = step("Div", [x, step("Max", [step("ReduceL2", [x, first], "norm"), least], "divisor")], "unit")
    z = step("MatMul", [u, nodes.constant(f"{path}.W", one.W.T)], "whitened")
    apart = step("Sub", [step("Unsqueeze", [z, first], "row"), nodes.constant(f"{path}.c", one.c)], "apart")
    squares = step("ReduceSum", [step("Mul", [apart, apart], "products"), second], "squares", keepdims=0)
    nodes.layer("Sqrt", one, [step("ReduceMin", [squares, first], "nearest")])


@write.register
def _(one: Mean, nodes: Nodes) -> None:
    nodes.layer("Mean", one, nodes.inputs(one))


@write.register
def _(one: Estimates, nodes: Nodes) -> None:
    [x] = nodes.inputs(one)
    classes = nodes.constant("estimates.axis", [1], np.int64)
    positive = nodes.step("Relu", [x], "estimates.positive")
    total = nodes.step("ReduceSum", [positive, classes], "estimates.total")
    none = nodes.step("Equal", [total, nodes.constant("estimates.zero", [0])], "estimates.none_positive")
    largest = nodes.step("ArgMax", [x], "estimates.largest", axis=1, keepdims=0)
    count = nodes.constant("estimates.classes", [one.shape[0]], np.int64)
    alone = nodes.step("OneHot", [largest, count, nodes.constant("estimates.off_on", [0, 1])], "estimates.alone")
    shares = nodes.step("Where", [none, alone, positive], "estimates.shares")
    nodes.layer("Div", one, [shares, nodes.step("ReduceSum", [shares, classes], "estimates.whole")])
