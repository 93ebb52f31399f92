"""A graph: the whole net written down once, forward and back, as operations that `runtime` runs without Python.

A layer records itself by the methods of `Graph`, each of which notes its operation and how its gradient is recorded
later. Values know their shape for one image; where each lies in a thread's memory is decided at the end, when it is
known from which operation to which it is needed.
"""

# ruff: noqa: E741  (O is the number of filters)

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from firstlight.kernels import Padding, Pair, output_size
from firstlight.types import Shape

# The activations that `Graph.activation` knows, in the order of `_elementwise`.
ACTIVATIONS = ("relu", "leaky", "elu", "selu", "sigmoid", "tanh", "gelu")


class Recorded(Protocol):
    """What can be recorded: see `Layer.record`."""

    def record(self, graph: Graph, p: Mapping[str, Any], x: Value, path: str) -> Value: ...


class NotRecordedError(Exception):
    """A layer that no graph can hold, by its path, and why; the engine then goes layer by layer."""


@dataclass(frozen=True, eq=False)
class Value:
    """An array (·, n) of a net, for n images.

    shape          for one image
    memory         what it lies in; the same for two values, where the second takes the first one's place
    requires_grad  whether anything that it depends on is trained, so that its gradient is needed
    may_overwrite  whether nobody but the next layer needs it, which may then take its place
    """

    shape: Shape
    memory: Memory
    requires_grad: bool = False
    may_overwrite: bool = False

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(eq=False)
class Memory:
    """Space for `size` numbers an image; `small` ones are bytes: the winners of pooling."""

    size: int
    small: bool = False


@dataclass(frozen=True)
class Slot:
    """An array of weights: where it starts in the vector, and whether it is trained."""

    start: int
    shape: Shape
    trainable: bool


@dataclass
class Step:
    """An operation; its fields are numbers and values, which stand for where they lie.

    path      of the layer that it belongs to; empty for what is before and behind all layers
    backward  whether it is part of the backward pass
    """

    op: str
    fields: list[Any]
    path: str = ""
    backward: bool = False


class Checkpoint(NamedTuple):
    """Behind so many steps, `value` holds what the layer at `path` gave, or the gradient by that."""

    steps: int
    path: str
    value: Value
    backward: bool


@dataclass(frozen=True)
class Correlation:
    """y = start + Σ W · x over the taps of a window, as `_convolution` puts it; a field of a step.

    W_strides  between the rows (channels of y) and the channels of W
    """

    x: Shape
    y: Shape
    W_strides: Pair
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    spread: Pair = (1, 1)
    start: Pair = (0, 0)
    flipped: bool = False

    @property
    def inside(self) -> bool:
        """Whether every tap of every output hits a pixel, and neighbours read neighbours."""
        (_, H, W), (_, Hy, Wy), (kh, kw) = self.x, self.y, self.kernel
        fits = (Hy - 1) * self.stride[0] + kh <= H and Wy - 1 + kw <= W
        return self.start == (0, 0) and self.spread == (1, 1) and self.stride[1] == 1 and fits

    @property
    def is_product(self) -> bool:
        """Whether it is y = W x, for x and the rows of W that lie one number after another."""
        return self.x[1:] == self.y[1:] == self.kernel == (1, 1) and self.W_strides == (self.x[0], 1)


@dataclass(frozen=True)
class Product:
    """dW (O, K) = dy xᵀ; a field of a step, in the place of a correlation."""

    O: int
    K: int


Backward = Callable[[Value], Sequence[tuple[Value, Value]]]


@dataclass(eq=False)
class Graph:
    """Records a net.

    input_shape    (C, H, W)
    training       whether dropout drops, batch norm uses the batch, and gradients are recorded
    running_stats  paths of batch norms that use their running statistics in training too
    class_weights  what the loss of an image is multiplied by, a number for each class; empty for none
    """

    input_shape: Shape
    training: bool
    running_stats: frozenset[str] = frozenset()
    class_weights: Sequence[float] = ()
    steps: list[Step] = field(default_factory=list)
    barriers: list[int] = field(default_factory=list)
    constants: list[float] = field(default_factory=list)
    masks: list[tuple[str, Shape, float]] = field(default_factory=list)
    statistics: int = 0
    norms: list[tuple[str, int]] = field(default_factory=list)
    outputs: int = 0
    takes_output_gradients: bool = False
    forward_segments: int = 0  # those before the gradient comes in
    checkpoints: list[Checkpoint] = field(default_factory=list)
    _path: str = ""
    _is_backward: bool = False
    _layers: dict[Value, str] = field(default_factory=dict)  # the paths of the layers that gave the values
    _backward: list[tuple[Value, str, Backward]] = field(default_factory=list)
    # Rectified values, what they were before, the step that cut them, and the checkpoints that there are without it.
    _rectified: dict[Value, tuple[Value, Step, list[Checkpoint]]] = field(default_factory=dict)
    # Gradients by rectified values that batch norm's own gradient cuts.
    _uncut: set[Memory] = field(default_factory=set)
    # The steps that can cut what is below zero as they write it, by what they write.
    _writers: dict[Memory, Step] = field(default_factory=dict)

    def through(self, layer: Recorded, name: str, p: Mapping[str, Any], x: Value, path: str) -> Value:
        """Record a container's child, called `name`. `p` are the slots of the container, and `path` its own."""
        around, self._path = self._path, f"{path}.{name}" if path else name
        y = layer.record(self, p.get(name, {}), x, self._path)
        if y not in self._layers:
            self._layers[y] = self._path
            self.checkpoints.append(Checkpoint(len(self.steps), self._path, y, False))
        self._path = around
        return y

    def input(self, standardized: bool = False) -> Value:
        """The images, gathered and prepared; each `standardized` by itself where that is asked for."""
        x = self._value(self.input_shape)
        C, H, W = self.input_shape
        self._step("GATHER", x, C, H * W)
        if standardized:
            self._step("STANDARDISE", x, x.size)
        return x

    def conv2d(self, x: Value, W: Slot, b: Slot | None, stride: Pair, padding: Padding) -> Value:
        """See `Kernels.conv2d`."""
        O, C, kh, kw = W.shape
        size = (x.shape[1], x.shape[2])
        if size == (kh, kw) and not any(map(any, padding)):
            return self.reshape(self.product(self.reshape(x, (x.size,)), W, b), (O, 1, 1))
        out = output_size(size, (kh, kw), stride, padding)
        start = (-padding[0][0], -padding[1][0])
        y = self._value(
            (O, *out), x.requires_grad or W.trainable or (b is not None and b.trainable), may_overwrite=True
        )
        forward = Correlation(x.shape, y.shape, (C * kh * kw, kh * kw), (kh, kw), stride, start=start)
        self._writes(y, self._step("TILES", x, y, W.start, _start(b), forward, 0))

        def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
            self._bias_gradient(dy, b)
            if W.trainable:
                self._step("DOTS", x, dy, W.start, replace(forward, W_strides=(0, 0)))
            if not x.requires_grad:
                return ()
            dx = self._value(x.shape)
            turned = (padding[0][0] - kh + 1, padding[1][0] - kw + 1)
            back = Correlation(y.shape, x.shape, (kh * kw, C * kh * kw), (kh, kw), (1, 1), stride, turned, flipped=True)
            self._step("TILES", dy, dx, W.start, -1, back, 0)
            return ((x, dx),)

        self._on_backward(y, backward)
        return y

    def product(self, x: Value, W: Slot, b: Slot | None) -> Value:
        """y = W x + b for x (K,)."""
        O, K = W.shape[0], x.size
        y = self._value((O,), x.requires_grad or W.trainable or (b is not None and b.trainable), may_overwrite=True)
        forward = Correlation((K, 1, 1), (O, 1, 1), (K, 1))
        self._writes(y, self._step("TILES", x, y, W.start, _start(b), forward, 0))

        def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
            self._bias_gradient(dy, b)
            if W.trainable:
                turned = self._value((K,))
                self._step("TRANSPOSE", x, turned, K)
                self._step("TILES", turned, W.start, dy, -1, Product(O, K), 0)
            if not x.requires_grad:
                return ()
            dx = self._value(x.shape)
            self._step("TILES", dy, dx, W.start, -1, Correlation((O, 1, 1), (K, 1, 1), (1, K)), 0)
            return ((x, dx),)

        self._on_backward(y, backward)
        return y

    def activation(self, x: Value, name: str, constant: float = 0.0) -> Value:
        """An activation of `ACTIVATIONS`, with its constant."""
        y = replace(x, memory=x.memory if x.may_overwrite and name != "gelu" else Memory(x.size), may_overwrite=False)
        writer = self._writers.pop(x.memory, None) if name == "relu" and y.memory is x.memory else None
        kind, a = ACTIVATIONS.index(name), self._constant(constant)
        if writer:
            writer.fields[-1] = 1
            hidden = [point for point in self.checkpoints if point.value.memory is y.memory]
            self.checkpoints = [point for point in self.checkpoints if point not in hidden]
            self._rectified[y] = (x, writer, hidden)
        else:
            self._step("ACTIVATE", x, y, x.size, kind, a)

        def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
            if writer and writer.op in ("NORMALIZE", "NORMALIZE_RUNNING"):  # batch norm's own gradient sees to it
                self._uncut.add(dy.memory)
            elif name == "relu":
                self._step("RECTIFY_BACK", y, dy, x.size)
            else:
                self._step("ACTIVATE_BACK", x if name == "gelu" else y, dy, x.size, kind, a)
            return ((x, dy),)

        self._on_backward(y, backward)
        return y

    def max_pool(self, x: Value, size: Pair, stride: Pair, padding: Padding) -> Value:
        """See `Kernels.max_pool`. Of rectified values the largest is rectified instead, which are fewer."""
        if math.prod(size) > 256:
            raise NotRecordedError(f"{self._path} (a window of more than 256 pixels)")
        x, relu = self._unrectified(x)
        C, H, W = x.shape
        out = output_size((H, W), size, stride, padding)
        y = self._value((C, *out), x.requires_grad, may_overwrite=not relu)
        where = Value(y.shape, Memory(y.size, small=True))
        geometry = (C, H, W, *out, *size, *stride, padding[0][0], padding[1][0])
        self._step("MAX_POOL", x, y, where, *geometry, int(relu))

        def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
            dx = self._value(x.shape)
            self._step("MAX_POOL_BACK", dx, dy, where, *geometry, int(relu), y)
            return ((x, dx),)

        self._on_backward(y, backward)
        return y

    def avg_pool(self, x: Value, size: Pair, stride: Pair, padding: Padding) -> Value:
        """See `Kernels.avg_pool`."""
        C, H, W = x.shape
        out = output_size((H, W), size, stride, padding)
        y = self._value((C, *out), x.requires_grad, may_overwrite=True)
        geometry = (0, C, H, W, *out, *size, *stride, padding[0][0], padding[1][0])
        self._step("AVERAGE_POOL", x, y, *geometry)

        def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
            dx = self._value(x.shape)
            self._step("AVERAGE_POOL_BACK", dx, dy, *geometry)
            return ((x, dx),)

        self._on_backward(y, backward)
        return y

    def batch_norm(self, x: Value, p: Mapping[str, Slot], momentum: float, epsilon: float, path: str) -> Value:
        """γ x̂ + β; by the statistics of the batch in training, where all threads wait for each other's."""
        gamma, beta, mean, var = (p[name].start for name in ("gamma", "beta", "mean", "var"))
        C, pixels = x.shape[0], math.prod(x.shape[1:])
        y = self._value(x.shape, x.requires_grad or p["gamma"].trainable or p["beta"].trainable, may_overwrite=True)
        dgamma, dbeta = (p[name].start if p[name].trainable else -1 for name in ("gamma", "beta"))
        epsilon_at, momentum_at = self._constant(epsilon), self._constant(momentum)
        running = not self.training or path in self.running_stats
        at = self.statistics
        if not running:
            self.statistics += 6 * C
            self.norms.append((path, pixels))
            self._step("STATISTICS", x, C, pixels, at)
            self._barrier()
        op = "NORMALIZE_RUNNING" if running else "NORMALIZE"
        forward = self._step(op, x, y, C, pixels, at, gamma, beta, mean, var, momentum_at, epsilon_at, 0)
        self._writes(y, forward)

        def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
            relu = forward.fields[-1]
            self._uncut.discard(dy.memory)
            if running:
                self._step(
                    "NORMALIZE_RUNNING_BACK", x, dy, C, pixels, gamma, mean, var, epsilon_at, dgamma, dbeta, relu, y
                )
            else:
                self._step("NORMALIZE_SUMS", x, dy, C, pixels, at, dgamma, dbeta, relu, y)
                self._barrier()
                if x.requires_grad:
                    self._step("NORMALIZE_BACK", x, dy, C, pixels, at, gamma)
            return ((x, dy),) if x.requires_grad else ()

        self._on_backward(y, backward)
        return y

    def dropout(self, x: Value, rate: float, path: str) -> Value:
        """x / (1 − rate) where the step's mask keeps it."""
        if not self.training or rate == 0:
            return x
        mask = sum(math.prod(shape) for _, shape, _ in self.masks)
        self.masks.append((path, x.shape, rate))
        grow = self._constant(1 / (1 - rate))
        y = replace(x, memory=x.memory if x.may_overwrite else Memory(x.size), may_overwrite=True)
        self._writers.pop(x.memory, None)
        self._step("DROP", x, y, x.size, mask, grow)

        def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
            self._step("DROP", dy, dy, x.size, mask, grow)
            return ((x, dy),)

        self._on_backward(y, backward)
        return y

    def reshape(self, x: Value, shape: Shape) -> Value:
        """The same numbers in another shape."""
        y = replace(x, shape=shape)
        self._on_backward(y, lambda dy: ((x, replace(dy, shape=x.shape)),))
        return y

    def branch(self, x: Value) -> Value:
        """x for one of several layers that read it: none may take its place."""
        y = replace(x, may_overwrite=False)
        self._on_backward(y, lambda dy: ((x, dy),))
        return y

    def add(self, x: Value, z: Value) -> Value:
        """x + z."""
        y = self._value(x.shape, x.requires_grad or z.requires_grad, may_overwrite=True)
        self._step("COPY", x, y, x.size)
        self._step("ADD", z, y, x.size)

        def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
            copy = self._value(x.shape)
            self._step("COPY", dy, copy, x.size)
            return ((x, dy), (z, copy))

        self._on_backward(y, backward)
        return y

    def concat(self, parts: Sequence[Value], before: int = 0, after: int = 0) -> Value:
        """The parts one after another along the channels, with so many channels of zeros before and after."""
        pixels = math.prod(parts[0].shape[1:])
        channels = before + sum(part.shape[0] for part in parts) + after
        y = self._value((channels, *parts[0].shape[1:]), any(part.requires_grad for part in parts), may_overwrite=True)
        if before or after:
            self._step("CLEAR", y, y.size)
        places = [before * pixels + sum(part.size for part in parts[:i]) for i in range(len(parts))]
        for part, place in zip(parts, places, strict=True):
            self._step("COPY", part, (y, place), part.size)

        def backward(dy: Value) -> Sequence[tuple[Value, Value]]:
            gradients = []
            for part, place in zip(parts, places, strict=True):
                gradients.append((part, self._value(part.shape)))
                self._step("COPY", (dy, place), gradients[-1][1], part.size)
            return gradients

        self._on_backward(y, backward)
        return y

    def softmax(self, x: Value) -> Value:
        """exp xₖ / Σⱼ exp xⱼ over the first axis; no operation is compiled for it."""
        raise NotRecordedError(f"{self._path} (Softmax)")

    def output(self, y: Value) -> None:
        """What the net gives; in training its gradient is then asked for."""
        self.outputs = y.size
        self._step("OUTPUT", y, y.size)
        if self.training:
            self.takes_output_gradients = True
            self._barrier()
            self.forward_segments = len(self.barriers)
            dy = self._value(y.shape)
            self._step("SEED", dy, y.size)
            self._record_backward(y, dy)

    def cross_entropy(self, y: Value, smoothing: float) -> None:
        """The loss by integer labels, whose gradient needs no Python."""
        self._loss("CROSS_ENTROPY", y, smoothing)

    def squared_error(self, y: Value, c: float) -> None:
        """c Σ (y − t)² by integer labels, whose gradient needs no Python."""
        self._loss("SQUARED_ERROR", y, c)

    def _loss(self, op: str, y: Value, constant: float) -> None:
        self.outputs = y.size
        dy = self._value(y.shape)
        number, weights = self._constant(constant), len(self.constants) if len(self.class_weights) else -1
        self.constants += map(float, self.class_weights)
        self._step(op, y, dy, y.size, number, weights)
        self._record_backward(y, dy)

    def _record_backward(self, y: Value, dy: Value) -> None:
        gradients = {y: dy}
        self._is_backward = True
        for value, path, backward in reversed(self._backward):
            self._path = path
            dy_value = gradients.pop(value, None)
            if dy_value is None or not value.requires_grad:
                continue
            if value in self._layers and dy_value.memory not in self._uncut:
                self.checkpoints.append(Checkpoint(len(self.steps), self._layers[value], dy_value, True))
            for x, dx in backward(dy_value):
                if not x.requires_grad:
                    continue
                if x in gradients:
                    self._step("ADD", dx, gradients[x], x.size)
                else:
                    gradients[x] = dx

    def _on_backward(self, y: Value, backward: Backward) -> None:
        """How the gradient by y is recorded later."""
        self._backward.append((y, self._path, backward))

    def _value(self, shape: Shape, requires_grad: bool = False, may_overwrite: bool = False) -> Value:
        return Value(shape, Memory(math.prod(shape)), requires_grad and self.training, may_overwrite)

    def _step(self, op: str, *fields: Any) -> Step:
        self.steps.append(Step(op, list(fields), self._path, self._is_backward))
        return self.steps[-1]

    def _writes(self, y: Value, step: Step) -> None:
        self._writers[y.memory] = step

    def _barrier(self) -> None:
        self.barriers.append(len(self.steps))

    def _constant(self, value: float) -> int:
        self.constants.append(value)
        return len(self.constants) - 1

    def _bias_gradient(self, dy: Value, b: Slot | None) -> None:
        if b is not None and b.trainable:
            self._step("BIAS_GRADIENT", dy, b.start, dy.shape[0], math.prod(dy.shape[1:]))

    def _unrectified(self, x: Value) -> tuple[Value, bool]:
        """What x was before it was rectified by the step before, which is then undone; and whether it was."""
        if x not in self._rectified or self._backward[-1][0] is not x:
            return x, False
        self._backward.pop()
        before, step, hidden = self._rectified.pop(x)
        step.fields[-1] = 0
        self.checkpoints = [*(point for point in self.checkpoints if point.value is not x), *hidden]
        return before, True


def _start(slot: Slot | None) -> int:
    return -1 if slot is None else slot.start


__all__ = [
    "ACTIVATIONS",
    "Checkpoint",
    "Correlation",
    "Graph",
    "Memory",
    "NotRecordedError",
    "Product",
    "Slot",
    "Step",
    "Value",
]
