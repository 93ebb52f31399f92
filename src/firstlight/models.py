"""Models: values made of layers, and the named architectures.

A named architecture is a function of the input shape (H, W, C) and the number of classes that returns a `Model`; its
other arguments are options with the usual choices as defaults.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ParamSpec

from pydantic import TypeAdapter, ValidationError

from firstlight.errors import ModelError, nearest
from firstlight.layers import (
    ELU,
    GELU,
    SELU,
    AvgPool2D,
    BatchNorm,
    Chain,
    Concat,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    LeakyReLU,
    MaxPool2D,
    PadChannels,
    ReLU,
    Residual,
    Sigmoid,
    Softmax,
    Tanh,
    from_json,
)
from firstlight.types import Json, Shape
from firstlight.weights import Layout

GREY28: Shape = (28, 28, 1)
GREY32: Shape = (32, 32, 1)
COLOUR32: Shape = (32, 32, 3)

ACTIVATIONS: dict[str, type[Layer]] = {
    "elu": ELU,
    "gelu": GELU,
    "leaky-relu": LeakyReLU,
    "relu": ReLU,
    "selu": SELU,
    "sigmoid": Sigmoid,
    "softmax": Softmax,
    "tanh": Tanh,
}


@dataclass(frozen=True)
class SummaryRow:
    """One layer of a model: its name, type, output shape as a person writes it, and what it costs."""

    name: str
    type: str
    output_shape: Shape
    parameters: int
    trainable: int
    multiply_adds: int

    def to_json(self) -> Json:
        return {**vars(self), "output_shape": list(self.output_shape)}


@dataclass(frozen=True)
class Model:
    """A chain of layers for images of one shape and a number of classes.

    input_shape  (H, W, C) of one image, as a person writes it; the layers see (C, H, W)
    options      the arguments of the named architecture, for the record
    Raises ModelError when two layers do not fit.
    """

    name: str
    layers: Chain
    input_shape: Shape
    classes: int
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.input_shape) != 3 or min(self.input_shape) < 1:
            raise ModelError(f"{self.name}: an input shape is (height, width, channels); received {self.input_shape}.")
        if self.classes < 2:
            raise ModelError(f"{self.name}: a classifier needs at least 2 classes; received {self.classes}.")
        try:
            self.layers.output_shape(self._chw)
        except ModelError as error:
            size = "×".join(map(str, self.input_shape))
            raise ModelError(f"{self.name} does not fit images of {size}. {error}") from None

    @property
    def _chw(self) -> Shape:
        height, width, channels = self.input_shape
        return channels, height, width

    @property
    def output_shape(self) -> Shape:
        return self.layers.output_shape(self._chw)

    @cached_property
    def layout(self) -> Layout:
        """Where each parameter lies in the flat vector of weights."""
        return Layout.of(self.layers.parameters(self._chw))

    @property
    def parameters(self) -> int:
        """All numbers of the model, running statistics included."""
        return self.layout.size

    @property
    def trainable(self) -> int:
        return self.layout.trainable

    @property
    def multiply_adds(self) -> int:
        """Multiply-accumulate operations to classify one image."""
        return self.layers.multiply_adds(self._chw)

    def summary(self) -> list[SummaryRow]:
        """The layers in the order of the data; a residual or concatenation follows its branches."""
        return list(_rows(self.layers, "", self._chw))

    def to_json(self) -> Json:
        """Plain values from which `from_json` makes an equal model."""
        return {
            "name": self.name,
            "options": dict(self.options),
            "input_shape": list(self.input_shape),
            "classes": self.classes,
            "layers": [layer.to_json() for layer in self.layers.layers],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Model:
        """The model that `to_json` wrote. Raises ModelError for anything else."""
        try:
            layers = Chain(tuple(from_json(layer) for layer in value["layers"]))
            options = {key: _frozen(option) for key, option in value.get("options", {}).items()}
            return cls(value["name"], layers, tuple(value["input_shape"]), value["classes"], options)
        except (KeyError, TypeError) as error:
            raise ModelError(f"This is no description of a model: {type(error).__name__} {error}.") from None


ARCHITECTURES: dict[str, Callable[..., Model]] = {}

P = ParamSpec("P")


def architecture(name: str) -> Callable[[Callable[P, Chain]], Callable[P, Model]]:
    """Register a function that returns layers, as a named architecture that returns a Model with its options."""

    def register(layers_of: Callable[P, Chain]) -> Callable[P, Model]:
        signature = inspect.signature(layers_of)

        @functools.wraps(layers_of)
        def model(*args: P.args, **kwargs: P.kwargs) -> Model:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            options = {key: _frozen(value) for key, value in bound.arguments.items()}
            input_shape, classes = options.pop("input_shape"), options.pop("classes")
            return Model(name, layers_of(*args, **kwargs), tuple(input_shape), classes, options)

        ARCHITECTURES[name] = model
        return model

    return register


def build(name: str, input_shape: Shape, classes: int, options: Mapping[str, Any] | None = None) -> Model:
    """Return the named architecture for images of `input_shape` (H, W, C), with options.

    Raises ModelError for an unknown name or option, or where the model does not fit.
    """
    return ARCHITECTURES[_known(name)](input_shape, classes, **complete(name, options or {}))


def complete(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a named architecture: those given, checked, and the defaults of the others."""
    parameters = inspect.signature(ARCHITECTURES[_known(name)], eval_str=True).parameters
    chosen = defaults(name)
    for option, value in options.items():
        if option not in chosen:
            raise ModelError(f"model.{option}: {name} has no such option. {nearest(option, chosen)}".rstrip())
        try:
            chosen[option] = TypeAdapter(parameters[option].annotation).validate_python(_frozen(value))
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise ModelError(
                f"model.{option}: {problem}; received {value!r}. The default is {chosen[option]!r}."
            ) from None
    return chosen


def defaults(name: str) -> dict[str, Any]:
    """The options of a named architecture with their defaults."""
    parameters = inspect.signature(ARCHITECTURES[_known(name)]).parameters
    return {key: p.default for key, p in parameters.items() if key not in ("input_shape", "classes")}


def default_shape(name: str) -> tuple[Shape, int]:
    """The input shape (H, W, C) and the number of classes that a named architecture is usually shown with."""
    parameters = inspect.signature(ARCHITECTURES[_known(name)]).parameters
    return parameters["input_shape"].default, parameters["classes"].default


def custom(layers: Sequence[Mapping[str, Any]], input_shape: Shape, classes: int, name: str = "custom") -> Model:
    """A model given layer by layer, as in a file's `[[model.layers]]`."""
    return Model(name, Chain(tuple(from_json(layer) for layer in layers)), input_shape, classes)


# --- the named architectures ------------------------------------------------------------------------------------------


@architecture("softmax-regression")
def softmax_regression(input_shape: Shape = GREY28, classes: int = 10) -> Chain:
    """Multinomial logistic regression: the baseline that every net must beat."""
    return Chain((Flatten(), _head(classes)))


@architecture("two-layer")
def two_layer(
    input_shape: Shape = COLOUR32,
    classes: int = 10,
    *,
    hidden: int = 1024,
    activation: str = "relu",
    output: str = "linear",
    initializer: str = "glorot_uniform",
) -> Chain:
    """One hidden layer. `hidden=3, activation="sigmoid", output="sigmoid"` with a squared error is the first lesson."""
    last = () if output == "linear" else (_activation(output),)
    layers = (
        Flatten(),
        Dense(hidden, initializer=initializer),
        _activation(activation),
        Dense(classes, initializer=initializer, name="head"),
        *last,
    )
    return Chain(layers)


@architecture("mlp-128")
def mlp_128(
    input_shape: Shape = GREY28, classes: int = 10, *, units: Sequence[int] = (128,), activation: str = "relu"
) -> Chain:
    """A dense net with one hidden layer of 128."""
    return _dense_net(classes, units, activation)


@architecture("mlp-128-64")
def mlp_128_64(
    input_shape: Shape = GREY28, classes: int = 10, *, units: Sequence[int] = (128, 64), activation: str = "relu"
) -> Chain:
    """A dense net with hidden layers of 128 and 64."""
    return _dense_net(classes, units, activation)


@architecture("mlp-500-250-100")
def mlp_500_250_100(
    input_shape: Shape = GREY28, classes: int = 10, *, units: Sequence[int] = (500, 250, 100), activation: str = "relu"
) -> Chain:
    """A dense net with hidden layers of 500, 250 and 100, made to compare sigmoid, tanh and ReLU."""
    return _dense_net(classes, units, activation)


@architecture("lenet5")
def lenet5(
    input_shape: Shape = GREY28,
    classes: int = 10,
    *,
    activation: str = "relu",
    pooling: str = "max",
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> Chain:
    """LeNet-5 (LeCun et al. 1998) with today's activation and pooling.

    dropout     after each pooling and after the third convolution
    batch_norm  between each convolution and its activation
    """
    if pooling not in ("max", "average"):
        raise ModelError(f"model.pooling must be max or average; received {pooling!r}.")
    pool = MaxPool2D(2) if pooling == "max" else AvgPool2D(2)
    norm = (BatchNorm(),) if batch_norm else ()
    drop = (Dropout(dropout),) if dropout else ()
    act = _activation(activation)
    layers = (
        *(Conv2D(6, 5, padding="same"), *norm, act, pool, *drop),
        *(Conv2D(16, 5), *norm, act, pool, *drop),
        *(Conv2D(120, 5), *norm, act, *drop),
        *(Flatten(), Dense(84), act, _head(classes)),
    )
    return Chain(layers)


@architecture("lenet5-dropout")
def lenet5_dropout(
    input_shape: Shape = GREY28, classes: int = 10, *, activation: str = "relu", dropout: float = 0.5
) -> Chain:
    """LeNet-5 with dropout after each pooling and after the third convolution."""
    return lenet5(input_shape, classes, activation=activation, dropout=dropout).layers


@architecture("lenet5-batchnorm")
def lenet5_batchnorm(input_shape: Shape = GREY28, classes: int = 10, *, activation: str = "relu") -> Chain:
    """LeNet-5 with batch norm between each convolution and its activation."""
    return lenet5(input_shape, classes, activation=activation, batch_norm=True).layers


@architecture("mnist-cnn")
def mnist_cnn(input_shape: Shape = GREY28, classes: int = 10, *, activation: str = "relu") -> Chain:
    """Three small convolutions, each followed by pooling, and a dense head."""
    act, pool = _activation(activation), MaxPool2D(2)
    layers = (*(Conv2D(32), act, pool), *(Conv2D(64), act, pool), *(Conv2D(64), act, pool), Flatten(), _head(classes))
    return Chain(layers)


@architecture("fashion-cnn")
def fashion_cnn(
    input_shape: Shape = GREY28,
    classes: int = 10,
    *,
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    l1: float = 0.0,
    l2: float = 0.0,
) -> Chain:
    """Two convolutions of 32 and two dense layers, with the usual regularisers as options.

    batch_norm  before each activation
    dropout     after the two dense layers (usually 0.2)
    l1, l2      penalties on the kernels (usually 1e-4)
    """
    norm = (BatchNorm(),) if batch_norm else ()
    drop = (Dropout(dropout),) if dropout else ()
    act = _activation(activation)
    layers = (
        *(Conv2D(32, 3, padding="same", l1=l1, l2=l2), *norm, act, MaxPool2D(2)),
        *(Conv2D(32, 3, padding="same", l1=l1, l2=l2), *norm, act, MaxPool2D(2)),
        Flatten(),
        *(Dense(128, l1=l1, l2=l2), *norm, act, *drop),
        *(Dense(84, l1=l1, l2=l2), *norm, act, *drop),
        Dense(classes, l1=l1, l2=l2, name="head"),
    )
    return Chain(layers)


@architecture("pyramid")
def pyramid(
    input_shape: Shape = COLOUR32, classes: int = 10, *, units: Sequence[int] = (128, 64, 32), activation: str = "selu"
) -> Chain:
    """A dense net that narrows, with SELU."""
    return _dense_net(classes, units, activation)


@architecture("pyramid-regularised")
def pyramid_regularised(
    input_shape: Shape = GREY32,
    classes: int = 10,
    *,
    units: Sequence[int] = (128, 64, 32),
    activation: str = "selu",
    dropout: Sequence[float] = (0.0, 0.1, 0.2),
) -> Chain:
    """The pyramid with batch norm after each activation, and dropout after the second and third."""
    if len(dropout) != len(units):
        raise ModelError(f"model.dropout needs one rate a layer: {len(units)} units, {len(dropout)} rates.")
    layers: list[Layer] = [Flatten()]
    for width, rate in zip(units, dropout, strict=True):
        layers += [Dense(width, initializer=_initializer(activation)), _activation(activation), BatchNorm()]
        layers += [Dropout(rate)] if rate else []
    return Chain((*layers, _head(classes)))


@architecture("vgg-small")
def vgg_small(
    input_shape: Shape = GREY32,
    classes: int = 10,
    *,
    filters: Sequence[int] = (32, 64, 128),
    dropout: Sequence[float] = (0.2, 0.3, 0.4),
    units: int = 128,
    head_dropout: float = 0.5,
    activation: str = "selu",
) -> Chain:
    """A VGG-like net: pairs of 3×3 convolutions, each followed by its activation and batch norm."""
    if len(dropout) != len(filters):
        raise ModelError(f"model.dropout needs one rate a block: {len(filters)} blocks, {len(dropout)} rates.")
    act, start = _activation(activation), _initializer(activation)
    layers: list[Layer] = []
    for width, rate in zip(filters, dropout, strict=True):
        layers += [Conv2D(width, 3, padding="same", initializer=start), act, BatchNorm()] * 2
        layers += [MaxPool2D(2), *([Dropout(rate)] if rate else [])]
    layers += [Flatten(), Dense(units, initializer=start), act, BatchNorm()]
    layers += [Dropout(head_dropout)] if head_dropout else []
    return Chain((*layers, _head(classes)))


@architecture("vgg16")
def vgg16(
    input_shape: Shape = COLOUR32,
    classes: int = 10,
    *,
    units: int = 64,
    activation: str = "selu",
    dropout: float = 0.3,
) -> Chain:
    """The thirteen convolutions of VGG16 (Simonyan & Zisserman 2014) with a small dense head."""
    layers: list[Layer] = []
    for count, width in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        layers += [Conv2D(width, 3, padding="same", initializer="he_normal"), ReLU()] * count + [MaxPool2D(2)]
    layers += [Flatten(), Dense(units, initializer=_initializer(activation)), _activation(activation), BatchNorm()]
    layers += [Dropout(dropout)] if dropout else []
    return Chain((*layers, _head(classes)))


@architecture("resnet20")
def resnet20(input_shape: Shape = COLOUR32, classes: int = 10, *, blocks: int = 3, width: int = 16) -> Chain:
    """The CIFAR ResNet of He et al. 2015, section 4.2: 6·blocks + 2 layers, shortcuts without parameters (option A)."""
    layers: list[Layer] = [*_conv_norm(width), ReLU()]
    for stage in range(3):
        filters = width * 2**stage
        for block in range(blocks):
            narrows = stage > 0 and block == 0
            body = Chain((*_conv_norm(filters, stride=2 if narrows else 1), ReLU(), *_conv_norm(filters)))
            # Every second pixel, and zeros for the channels that the shortcut lacks.
            shortcut = (AvgPool2D(1, stride=2), PadChannels(filters // 4, filters // 4)) if narrows else ()
            layers += [Residual(body, Chain(shortcut), name=f"block{stage + 1}_{block + 1}"), ReLU()]
    return Chain((*layers, GlobalAvgPool2D(), _head(classes)))


def _known(name: str) -> str:
    if name not in ARCHITECTURES:
        raise ModelError(f"model.name: there is no model called {name!r}. {nearest(name, ARCHITECTURES)}")
    return name


def _head(classes: int) -> Dense:
    return Dense(classes, name="head")


def _activation(name: str) -> Layer:
    if name not in ACTIVATIONS:
        raise ModelError(f"model.activation: there is none called {name!r}. {nearest(str(name), ACTIVATIONS)}")
    return ACTIVATIONS[name]()


def _initializer(activation: str) -> str:
    """SELU keeps means and variances only from LeCun's start (Klambauer et al. 2017)."""
    return "lecun_normal" if activation == "selu" else "glorot_uniform"


def _dense_net(classes: int, units: Sequence[int], activation: str) -> Chain:
    layers: list[Layer] = [Flatten()]
    for width in units:
        layers += [Dense(width, initializer=_initializer(activation)), _activation(activation)]
    return Chain((*layers, _head(classes)))


def _conv_norm(filters: int, stride: int = 1) -> tuple[Layer, Layer]:
    conv = Conv2D(filters, 3, stride=stride, padding=1, bias=False, initializer="he_normal")
    return conv, BatchNorm()


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _rows(layer: Layer, name: str, shape: Shape) -> Iterator[SummaryRow]:
    """The rows of a layer; a container's children stand before it, and a chain has no row of its own."""
    if isinstance(layer, Chain):
        for child_name, child in layer.named():
            yield from _rows(child, _join(name, child_name), shape)
            shape = child.output_shape(shape)
        return
    own = Layout(()) if isinstance(layer, Residual | Concat) else Layout.of(layer.parameters(shape))
    if isinstance(layer, Residual | Concat):
        for child_name, child in layer.named():
            yield from _rows(child, _join(name, child_name), shape)
    operations = 0 if isinstance(layer, Residual | Concat) else layer.multiply_adds(shape)
    output = layer.output_shape(shape)
    shown = (*output[1:], output[0])
    yield SummaryRow(name, type(layer).__name__, shown, own.size, own.trainable, operations)


def _join(*names: str) -> str:
    return ".".join(filter(None, names))
