"""Dense nets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from firstlight.errors import ModelError
from firstlight.layers import BatchNorm, Chain, Dense, Dropout, Flatten, Layer
from firstlight.layers.initializers import Initializer
from firstlight.models.registry import (
    COLOUR32,
    GREY28,
    GREY32,
    ActivationName,
    Positive,
    Rate,
    activation_layer,
    architecture,
    head,
    initializer_for,
)
from firstlight.types import Shape


@architecture("softmax-regression")
def softmax_regression(input_shape: Shape = GREY28, classes: int = 10) -> Chain:
    """Multinomial logistic regression: the baseline that every net must beat."""
    return Chain((Flatten(), head(classes)))


@architecture("two-layer")
def two_layer(
    input_shape: Shape = COLOUR32,
    classes: int = 10,
    *,
    hidden: Positive = 1024,
    activation: ActivationName = "relu",
    output: Literal["linear"] | ActivationName = "linear",
    initializer: Initializer = "glorot_uniform",
) -> Chain:
    """One hidden layer. `hidden=3, activation="sigmoid", output="sigmoid"` with a squared error is the first lesson.

    hidden       the units of the hidden layer
    activation   what follows it
    output       what follows the head
    initializer  the initializer of the weights
    """
    last = () if output == "linear" else (activation_layer(output),)
    layers = (
        Flatten(),
        Dense(hidden, initializer=initializer),
        activation_layer(activation),
        Dense(classes, initializer=initializer, name="head"),
        *last,
    )
    return Chain(layers)


@architecture("mlp-128")
def mlp_128(
    input_shape: Shape = GREY28,
    classes: int = 10,
    *,
    units: Positive | Sequence[Positive] = (128,),
    activation: ActivationName = "relu",
) -> Chain:
    """A dense net with one hidden layer of 128.

    units       of each hidden layer; a number alone means one layer
    activation  the activation function of each layer but the head
    """
    return _dense_net(classes, units, activation)


@architecture("mlp-128-64")
def mlp_128_64(
    input_shape: Shape = GREY28,
    classes: int = 10,
    *,
    units: Positive | Sequence[Positive] = (128, 64),
    activation: ActivationName = "relu",
) -> Chain:
    """A dense net with hidden layers of 128 and 64.

    units       of each hidden layer; a number alone means one layer
    activation  the activation function of each layer but the head
    """
    return _dense_net(classes, units, activation)


@architecture("mlp-500-250-100")
def mlp_500_250_100(
    input_shape: Shape = GREY28,
    classes: int = 10,
    *,
    units: Positive | Sequence[Positive] = (500, 250, 100),
    activation: ActivationName = "relu",
) -> Chain:
    """A dense net with hidden layers of 500, 250 and 100, made to compare sigmoid, tanh and ReLU.

    units       of each hidden layer; a number alone means one layer
    activation  the activation function of each layer but the head
    """
    return _dense_net(classes, units, activation)


@architecture("pyramid")
def pyramid(
    input_shape: Shape = COLOUR32,
    classes: int = 10,
    *,
    units: Positive | Sequence[Positive] = (128, 64, 32),
    activation: ActivationName = "selu",
) -> Chain:
    """A dense net that narrows, with SELU.

    units       of each hidden layer; a number alone means one layer
    activation  the activation function of each layer but the head
    """
    return _dense_net(classes, units, activation)


@architecture("pyramid-regularised")
def pyramid_regularised(
    input_shape: Shape = GREY32,
    classes: int = 10,
    *,
    units: Positive | Sequence[Positive] = (128, 64, 32),
    activation: ActivationName = "selu",
    dropout: Sequence[Rate] = (0.0, 0.1, 0.2),
) -> Chain:
    """The pyramid with batch norm after each activation, and dropout after the second and third.

    units       of each hidden layer; a number alone means one layer
    activation  the activation function of each layer but the head
    dropout     after each
    """
    widths = _widths(units)
    if len(dropout) != len(widths):
        raise ModelError(
            f"model.dropout needs one rate per layer: {len(widths)} units, {len(dropout)} rates.", key="model.dropout"
        )
    layers: list[Layer] = [Flatten()]
    for width, rate in zip(widths, dropout, strict=True):
        layers += [Dense(width, initializer=initializer_for(activation)), activation_layer(activation), BatchNorm()]
        layers += [Dropout(rate)] if rate else []
    return Chain((*layers, head(classes)))


def _widths(units: int | Sequence[int]) -> Sequence[int]:
    """The units of each hidden layer; a number alone means one layer."""
    return (units,) if isinstance(units, int) else units


def _dense_net(classes: int, units: int | Sequence[int], activation: str) -> Chain:
    layers: list[Layer] = [Flatten()]
    for width in _widths(units):
        layers += [Dense(width, initializer=initializer_for(activation)), activation_layer(activation)]
    return Chain((*layers, head(classes)))
