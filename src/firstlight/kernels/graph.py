"""A graph: the whole net written down once, forward and back, as steps that `runtime` runs without Python.

A layer records itself by `Graph.apply`, which finds an operation of `ops` by its name, or by one of the methods that
stand for the best known of them. Each writes its steps and notes how its gradient is recorded later. Values know their
shape for one image; where each lies in a thread's memory is decided at the end, when it is known from which step to
which it is needed.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol, TypeVar

from firstlight.kernels import Padding, Pair
from firstlight.kernels.operation import OPERATIONS, Memory, Slot, Step, Value
from firstlight.types import Shape

AnyStep = TypeVar("AnyStep", bound=Step)


class Recorded(Protocol):
    """What can be recorded: see `Layer.record`."""

    def record(self, graph: Graph, p: Mapping[str, Any], x: Value, path: str) -> Value: ...


class NotRecordedError(Exception):
    """A layer that no graph can hold, by its path, and why; the engine then goes layer by layer."""


class Checkpoint(NamedTuple):
    """Behind so many steps, `value` holds what the layer at `path` gave, or the gradient with respect to that."""

    steps: int
    path: str
    value: Value
    backward: bool


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
    splits: list[int] = field(default_factory=list)  # barriers where threads share out the rows of weights: see `Cut`
    split: list[Slot] = field(default_factory=list)  # those weights
    summed: list[int] = field(default_factory=list)  # and how many rows each has of which a gradient is summed
    masks: list[tuple[str, Shape, float]] = field(default_factory=list)
    statistics: int = 0
    norms: list[tuple[str, int]] = field(default_factory=list)
    outputs: int = 0
    takes_output_gradients: bool = False
    forward_steps: int = 0  # those before the gradient comes in
    checkpoints: list[Checkpoint] = field(default_factory=list)
    path: str = ""  # of the layer that is being recorded
    _is_backward: bool = False
    _layers: dict[Value, str] = field(default_factory=dict)  # the paths of the layers that gave the values
    _backward: list[tuple[Value, str, Backward]] = field(default_factory=list)
    # Rectified values, what they were before, the step that cut them, and the checkpoints that there are without it.
    _rectified: dict[Value, tuple[Value, Step, list[Checkpoint]]] = field(default_factory=dict)
    # Gradients with respect to rectified values that batch norm's own gradient cuts.
    _uncut: set[Memory] = field(default_factory=set)
    # The steps that can cut what is below zero as they write it, by what they write.
    _writers: dict[Memory, Step] = field(default_factory=dict)

    def through(self, layer: Recorded, name: str, p: Mapping[str, Any], x: Value, path: str) -> Value:
        """Record a container's child, called `name`. `p` are the slots of the container, and `path` its own."""
        around, self.path = self.path, f"{path}.{name}" if path else name
        y = layer.record(self, p.get(name, {}), x, self.path)
        if y not in self._layers:
            self._layers[y] = self.path
            self.checkpoints.append(Checkpoint(len(self.steps), self.path, y, False))
        self.path = around
        return y

    def apply(self, name: str, *inputs: Any, **settings: Any) -> Value:
        """Record the operation called `name` (see `ops`) on values, with its weights and settings; return its value.

        Raises NotRecordedError where there is none of that name.
        """
        importlib.import_module("firstlight.kernels.ops")  # with the compiler, which layers and losses do without
        if name not in OPERATIONS:
            raise NotRecordedError(f"{self.path} ({name})")
        y: Value = OPERATIONS[name](self, *inputs, **settings)
        return y

    def input(self, standardized: bool = False) -> Value:
        """The images, gathered and prepared; each `standardized` by itself where that is asked for."""
        x = self.apply("gather")
        return self.apply("standardize", x) if standardized else x

    def conv2d(self, x: Value, W: Slot, b: Slot | None, stride: Pair, padding: Padding) -> Value:
        """See `Kernels.conv2d`."""
        return self.apply("conv2d", x, W, b, stride, padding)

    def product(self, x: Value, W: Slot, b: Slot | None) -> Value:
        """y = W x + b for x (K,)."""
        return self.apply("product", x, W, b)

    def activation(self, x: Value, name: str, constant: float = 0.0) -> Value:
        """An activation of `ops.activation.FORMULAS`, with its constant."""
        return self.apply("activation", x, name, constant)

    def max_pool(self, x: Value, size: Pair, stride: Pair, padding: Padding) -> Value:
        """See `Kernels.max_pool`."""
        return self.apply("max_pool", x, size, stride, padding)

    def avg_pool(self, x: Value, size: Pair, stride: Pair, padding: Padding) -> Value:
        """See `Kernels.avg_pool`."""
        return self.apply("avg_pool", x, size, stride, padding)

    def batch_norm(self, x: Value, p: Mapping[str, Slot], momentum: float, epsilon: float, path: str) -> Value:
        """γ x̂ + β; by the statistics of the batch in training, where all threads wait for each other's."""
        return self.apply("batch_norm", x, p, momentum, epsilon, path)

    def dropout(self, x: Value, rate: float, path: str) -> Value:
        """x / (1 − rate) where the step's mask keeps it."""
        return self.apply("dropout", x, rate, path)

    def add(self, x: Value, z: Value) -> Value:
        """x + z."""
        return self.apply("add", x, z)

    def concat(self, parts: Sequence[Value], before: int = 0, after: int = 0) -> Value:
        """The parts one after another along the channels, with so many channels of zeros before and after."""
        return self.apply("concat", parts, before, after)

    def softmax(self, x: Value) -> Value:
        """exp xₖ / Σⱼ exp xⱼ over the first axis; no operation is compiled for it."""
        raise NotRecordedError(f"{self.path} (Softmax)")

    def reshape(self, x: Value, shape: Shape) -> Value:
        """The same numbers in another shape."""
        y = replace(x, shape=shape)
        self.on_backward(y, lambda dy: ((x, replace(dy, shape=x.shape)),))
        return y

    def branch(self, x: Value) -> Value:
        """x for one of several layers that read it: none may take its place."""
        y = replace(x, may_overwrite=False)
        self.on_backward(y, lambda dy: ((x, dy),))
        return y

    def output(self, y: Value) -> None:
        """What the net gives; in training its gradient is then asked for."""
        self.apply("output", y)

    def cross_entropy(self, y: Value, smoothing: float) -> None:
        """The loss by integer labels, whose gradient needs no Python."""
        self.apply("cross_entropy", y, smoothing)

    def squared_error(self, y: Value, c: float) -> None:
        """c Σ (y − t)² by integer labels, whose gradient needs no Python."""
        self.apply("squared_error", y, c)

    # What operations write with.

    def value(self, shape: Shape, requires_grad: bool = False, may_overwrite: bool = False) -> Value:
        """Space for a new value."""
        return Value(shape, Memory(math.prod(shape)), requires_grad and self.training, may_overwrite)

    def append(self, step: AnyStep) -> AnyStep:
        """Write a step down."""
        step.path, step.backward = self.path, self._is_backward
        self.steps.append(step)
        return step

    def wait(self) -> None:
        """From here on, all threads have done all steps before."""
        self.barriers.append(len(self.steps))

    def wait_to_split(self) -> None:
        """The same, where threads share out the rows of weights."""
        self.splits.append(len(self.steps))

    def on_backward(self, y: Value, backward: Backward) -> None:
        """Record later how the gradient with respect to y follows from dy, what y depends on, and their gradients."""
        self._backward.append((y, self.path, backward))

    def backward_from(self, y: Value, dy: Value) -> None:
        """Record the whole backward pass, from the gradient with respect to what the net gives."""
        from firstlight.kernels.ops.add import Add

        gradients = {y: dy}
        self._is_backward = True
        for value, path, backward in reversed(self._backward):
            self.path = path
            dy_value = gradients.pop(value, None)
            if dy_value is None or not value.requires_grad:
                continue
            if value in self._layers and dy_value.memory not in self._uncut:
                self.checkpoints.append(Checkpoint(len(self.steps), self._layers[value], dy_value, True))
            for x, dx in backward(dy_value):
                if not x.requires_grad:
                    continue
                if x in gradients:
                    self.append(Add(dx, gradients[x], x.size))
                else:
                    gradients[x] = dx

    # A ReLU costs nothing where the step before it rectifies what it writes, or the pool behind it what it finds.

    def can_rectify(self, y: Value, step: Step) -> None:
        """The step writes y and can cut what is below zero as it does."""
        self._writers[y.memory] = step

    def written(self, memory: Memory) -> Step | None:
        """The step that can rectify what lies there; it is then no longer told."""
        return self._writers.pop(memory, None)

    def rectified_by(self, step: Step, x: Value, y: Value) -> None:
        """y is x, rectified by the step that wrote it."""
        step.relu = True
        hidden = [point for point in self.checkpoints if point.value.memory is y.memory]
        self.checkpoints = [point for point in self.checkpoints if point not in hidden]
        self._rectified[y] = (x, step, hidden)

    def unrectified(self, x: Value) -> tuple[Value, bool]:
        """What x was before it was rectified by the step before, which is then undone; and whether it was."""
        if x not in self._rectified or self._backward[-1][0] is not x:
            return x, False
        self._backward.pop()
        before, step, hidden = self._rectified.pop(x)
        step.relu = False
        self.checkpoints = [*(point for point in self.checkpoints if point.value is not x), *hidden]
        return before, True

    def leave_uncut(self, dy: Value) -> None:
        """The gradient is cut where y was rectified by a step that comes later."""
        self._uncut.add(dy.memory)

    def cut_here(self, dy: Value) -> None:
        """The step that comes now cuts it."""
        self._uncut.discard(dy.memory)


__all__ = [
    "Checkpoint",
    "Graph",
    "Memory",
    "NotRecordedError",
    "Slot",
    "Step",
    "Value",
]
