"""What every layer is: a frozen value that knows its shapes, its parameters, its forward pass and its gradient.

The batch is the last axis: images are (C, H, W, N), features (I, N); shapes below leave N out. `forward` returns the
output and a closure `backward(dy) -> (dx, grads)` over exactly what the gradient needs; nothing is kept on the layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from firstlight.components import Component, Components, kebab, needed, options_of
from firstlight.constraints import Fits
from firstlight.errors import ModelError
from firstlight.kernels import Kernels
from firstlight.kernels.graph import Graph, NotRecordedError, Value
from firstlight.types import Array, Json, Shape
from firstlight.working import Index, Line, Operand, Working

if TYPE_CHECKING:
    from firstlight.layers.layer_step import LayerStep

# Parameters, and gradients with respect to them, by name. A container's are nested: {"conv1": {"W": ..., "b": ...}}.
Tree = Mapping[str, Any]
Backward = Callable[[Array], tuple[Array | None, Tree]]
Watch = Callable[[str, Array, Backward], tuple[Array, Backward]]


@dataclass(frozen=True)
class Parameter:
    """One array that a layer needs.

    initializer  a name in `initializers`, such as "he_normal", "zeros", "ones"
    fan_in       inputs that reach one output, and fan_out the outputs that one input reaches (for the initializer)
    trainable    False for running statistics, which forward updates itself and the optimizer leaves alone
    l1, l2       weights of the penalties l1 Σ|w| and l2 Σw² (Keras's convention)
    kernel       True for weights that a penalty for all layers applies to (not biases, not batch norm)
    """

    shape: Shape
    initializer: str = "zeros"
    fan_in: int = 1
    fan_out: int = 1
    trainable: bool = True
    kernel: bool = False
    l1: float = 0.0
    l2: float = 0.0

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Pass:
    """The circumstances of one pass through the net: everything beside parameters and input.

    kernels   the inner loops to use
    training  whether dropout drops and batch norm uses (and updates) the batch's statistics
    needs_dx  whether anything before this layer wants the gradient with respect to its input
    path      the names of the containers and the layer, as in "block1.dropout1"
    noise     path -> the generator of this step's random numbers
    running_stats  paths of batch norms that keep their running statistics in training, and use them
    trained   paths of the layers, and of the containers of layers, that are trained; None for all
    watch     what is told a layer's path, output and `backward`, and may answer with others in their place
    """

    kernels: Kernels
    training: bool = False
    needs_dx: bool = True
    path: str = ""
    noise: Callable[[str], np.random.Generator] | None = None
    running_stats: frozenset[str] = frozenset()
    trained: frozenset[str] | None = None
    watch: Watch | None = None

    def within(self, name: str, needs_dx: bool = True) -> Pass:
        """The same pass, inside the layer called `name`."""
        path = join(self.path, name)
        return Pass(
            self.kernels, self.training, needs_dx, path, self.noise, self.running_stats, self.trained, self.watch
        )

    def through(self, layer: Layer, name: str, p: Tree, x: Array, needs_dx: bool) -> tuple[Array, Backward]:
        """A container's child, called `name`: its `forward`, watched. `p` are the container's parameters."""
        run = self.within(name, needs_dx)
        y, backward = layer.forward(p.get(name, {}), x, run)
        return (y, backward) if self.watch is None else self.watch(run.path, y, backward)

    def trains(self, name: str) -> bool:
        """Whether the layer called `name`, inside this one, has parameters that are trained (if it has any)."""
        return self.trained is None or join(self.path, name) in self.trained

    def generator(self) -> np.random.Generator:
        """The generator for this layer in this step."""
        if self.noise is None:
            raise ModelError(f"The layer {self.path} needs a random generator in training, and none was given.")
        return self.noise(self.path)


@dataclass(frozen=True, slots=True)
class TwinPass:
    """As `Pass`, for the PyTorch twins.

    uniform     (path, shape) -> draws from [0, 1) made on the host; None where PyTorch draws for itself
    batch_norm  what takes the place of PyTorch's batch_norm, where processes share their statistics
    watch       what is told a layer's path and output, and answers with what takes its place
    """

    training: bool = False
    path: str = ""
    uniform: Callable[[str, Shape], Any] | None = None
    batch_norm: Callable[..., Any] | None = None
    running_stats: frozenset[str] = frozenset()
    watch: Callable[[str, Any], Any] | None = None

    def within(self, name: str) -> TwinPass:
        """The same pass, inside the layer called `name`."""
        return TwinPass(
            self.training, join(self.path, name), self.uniform, self.batch_norm, self.running_stats, self.watch
        )

    def through(self, torch: Any, layer: Layer, name: str, p: Tree, x: Any) -> Any:
        """A container's child, called `name`: its `twin`, watched. `p` are the container's parameters."""
        run = self.within(name)
        y = layer.twin(torch, p.get(name, {}), x, run)
        return y if self.watch is None else self.watch(run.path, y)


@dataclass(frozen=True)
class Example:
    """A layer with an input shape, without N, on which every test suite exercises it.

    smooth  False where the function has kinks: tests then keep inputs away from ties and from zero
    """

    layer: Layer
    input_shape: Shape
    smooth: bool = True


@dataclass(frozen=True)
class Layer(Component):
    """The base of all layers. A subclass is a frozen dataclass whose fields are its hyperparameters.

    name  how the container calls the layer, in paths such as "block1.conv1.W"; without one it counts: "conv1"
    """

    name: Annotated[str, Fits(lambda name: "." not in name, "a string without a full stop")] = field(
        default="", kw_only=True
    )

    examples: ClassVar[tuple[Example, ...]] = ()

    def output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the output for one sample. Raises ModelError where the input does not fit."""
        return input_shape

    def parameters(self, input_shape: Shape) -> Mapping[str, Any]:
        """`Parameter` by name; a container's are nested by the names of its layers."""
        return {}

    def multiply_adds(self, input_shape: Shape) -> int:
        """Multiply-accumulate operations of one forward pass of one sample."""
        return 0

    @needed()
    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        """Return y = f(x; p) and `backward(dy) -> (dx, grads)`. dx may be None where `run.needs_dx` is False.

        Neither writes to x or dy, which other layers share; y and dx have the dtype of x.
        """
        raise NotImplementedError

    def record(self, graph: Graph, p: Tree, x: Value, path: str) -> Value:
        """Write the layer, called `path`, on the graph that the compiled kernels run; return y. `p` holds `Slot`s.

        Raises NotRecordedError, as here, where the operations of a graph cannot say it: `forward` then does the work.
        """
        raise NotRecordedError(f"{path} ({type(self).__name__})")

    def twin(self, torch: Any, p: Tree, x: Any, run: TwinPass) -> Any:
        """The same y by PyTorch's own operations, which know their gradient. The batch is the first axis: (N, C, H, W).

        torch  the module; layer files do not import it
        p      tensors, with the names and shapes that `forward` takes
        """
        raise ModelError(
            f"The layer {run.path} ({type(self).__name__}) has no PyTorch twin, so the engine torch cannot run it. "
            "Give it a method `twin`, or use the engine numpy."
        )

    def working(self, step: LayerStep, of: str, index: Index) -> Working:
        """How one number of a step came about: of the output "y", of "dx", or of the gradient of a parameter.

        Here by the rule for any layer, which asks `backward` for a row or a column of the Jacobian. A layer whose
        numbers have a story of their own tells it in its own file.
        """
        from firstlight.layers.layer_step import general

        return general(step, of, index)

    def to_json(self) -> Json:
        """The layer as plain values: its type, and the fields that differ from their defaults."""
        settings: Json = {"type": LAYERS.name_of(type(self)) or type(self).__name__}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.default is MISSING or value != entry.default:
                settings[entry.name] = _plain(value)
        return settings

    def require(self, setting: str, fits: bool, allowed: str) -> None:
        """Raise ModelError unless the value of the field called `setting` fits."""
        if not fits:
            received = getattr(self, setting)
            raise ModelError(f"{type(self).__name__}.{setting} must be {allowed}; received {received!r}.")

    def misfit(self, input_shape: Shape, reason: str, remedy: str = "") -> ModelError:
        """The error for an input that this layer cannot take."""
        title = f"{type(self).__name__} {self.name!r}" if self.name else type(self).__name__
        return ModelError(f"{title} received an input of shape {input_shape}: {reason}. {remedy}".rstrip())


LAYERS = Components("layer", base=Layer, error=ModelError, place="{type}")


class Activation(Layer):
    """A layer without parameters that changes values and keeps their shape; a loss on logits must not follow one.

    flat_at_both_ends  whether it hardly passes a gradient on for large values of either sign: one that is flat for half
                       of what may come, as a ReLU is, has that for its use
    """

    flat_at_both_ends: ClassVar[bool] = False

    def working(self, step: LayerStep, of: str, index: Index) -> Working:
        """Each value by itself: y = f(x), and dx = dy f′(x), where f′ is what `backward` makes of a dy of ones."""
        wide, backward = step.again(step.x.astype(np.float64))
        y, slope, x = float(wide[index]), float(backward(np.ones_like(wide))[0][index]), Operand.at("x", step.x, *index)
        if of == "y":
            size = abs(y) + abs(slope * x.values[0])
            return Working.made(of, index, [Line.expression("y", "y = f(x)", y, x)], step.y[index], size=size)
        lines = [
            Line.expression("f′(x)", "f′(x)", slope, x),
            Line.sum("dx", "dx = dy f′(x)", [Operand.at("dy", step.dy, *index), Operand.number("f′(x)", slope)]),
        ]
        size = abs(step.dy[index]) * (1 + abs(slope))  # f′ is made of numbers about 1, which may cancel
        return Working.made(of, index, lines, step.dx[index], size=size)


class Activations(Mapping[str, type[Layer]]):
    """The activations that need no options, by the names that architectures call them: leaky-relu for LeakyReLU."""

    def __getitem__(self, name: str) -> type[Layer]:
        return self._found()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found())

    def __len__(self) -> int:
        return len(self._found())

    def _found(self) -> dict[str, type[Layer]]:
        found = {kebab(name): layer for name, layer in LAYERS.items() if issubclass(layer, Activation)}
        return {name: found[name] for name in sorted(found) if not any(o.required for o in options_of(found[name]))}


ACTIVATIONS = Activations()


def join(path: str, name: str) -> str:
    """The path of `name` inside `path`."""
    return f"{path}.{name}" if path else name


def _plain(value: Any) -> Any:
    if isinstance(value, Layer):
        return value.to_json()
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
