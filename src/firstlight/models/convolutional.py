"""Convolutional nets: one path from image to classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from firstlight.errors import ModelError
from firstlight.layers import AvgPool2D, BatchNorm, Chain, Conv2D, Dense, Dropout, Flatten, Layer, MaxPool2D, ReLU
from firstlight.models.registry import (
    COLOUR32,
    GREY28,
    GREY32,
    ActivationName,
    Penalty,
    Positive,
    Rate,
    activation_layer,
    architecture,
    head,
    initializer_for,
)
from firstlight.types import Shape


@architecture("lenet5")
def lenet5(
    input_shape: Shape = GREY28,
    classes: int = 10,
    *,
    activation: ActivationName = "relu",
    pooling: Literal["max", "average"] = "max",
    dropout: Rate = 0.0,
    batch_norm: bool = False,
) -> Chain:
    """LeNet-5 (LeCun et al. 1998) with today's activation and pooling.

    activation  the activation function of each layer but the head
    pooling     max pooling or average pooling
    dropout     after each pooling and after the third convolution
    batch_norm  between each convolution and its activation
    """
    pool = MaxPool2D(2) if pooling == "max" else AvgPool2D(2)
    norm = (BatchNorm(),) if batch_norm else ()
    drop = (Dropout(dropout),) if dropout else ()
    act = activation_layer(activation)
    layers = (
        *(Conv2D(6, 5, padding="same"), *norm, act, pool, *drop),
        *(Conv2D(16, 5), *norm, act, pool, *drop),
        *(Conv2D(120, 5), *norm, act, *drop),
        *(Flatten(), Dense(84), act, head(classes)),
    )
    return Chain(layers)


@architecture("lenet5-dropout")
def lenet5_dropout(
    input_shape: Shape = GREY28, classes: int = 10, *, activation: ActivationName = "relu", dropout: Rate = 0.5
) -> Chain:
    """LeNet-5 with dropout after each pooling and after the third convolution.

    activation  the activation function of each layer but the head
    dropout     the dropout rate
    """
    return lenet5(input_shape, classes, activation=activation, dropout=dropout).layers


@architecture("lenet5-batchnorm")
def lenet5_batchnorm(input_shape: Shape = GREY28, classes: int = 10, *, activation: ActivationName = "relu") -> Chain:
    """LeNet-5 with batch norm between each convolution and its activation.

    activation  the activation function of each layer but the head
    """
    return lenet5(input_shape, classes, activation=activation, batch_norm=True).layers


@architecture("mnist-cnn")
def mnist_cnn(input_shape: Shape = GREY28, classes: int = 10, *, activation: ActivationName = "relu") -> Chain:
    """Three small convolutions, each followed by pooling, and a dense head.

    activation  the activation function of each layer but the head
    """
    act, pool = activation_layer(activation), MaxPool2D(2)
    layers = (*(Conv2D(32), act, pool), *(Conv2D(64), act, pool), *(Conv2D(64), act, pool), Flatten(), head(classes))
    return Chain(layers)


@architecture("fashion-cnn")
def fashion_cnn(
    input_shape: Shape = GREY28,
    classes: int = 10,
    *,
    activation: ActivationName = "relu",
    batch_norm: bool = False,
    dense_norm: bool = True,
    dropout: Rate = 0.0,
    l1: Penalty = 0.0,
    l2: Penalty = 0.0,
) -> Chain:
    """Two convolutions of 32 and two dense layers, with the usual regularizers as options.

    activation  the activation function of each layer but the head
    batch_norm  before each activation
    dense_norm  false: batch norm after the convolutions alone
    dropout     after the two dense layers (usually 0.2)
    l1, l2      weight penalty on the kernels (usually 1e-4)
    """
    norm = (BatchNorm(),) if batch_norm else ()
    normed = norm if dense_norm else ()
    drop = (Dropout(dropout),) if dropout else ()
    act = activation_layer(activation)
    layers = (
        *(Conv2D(32, 3, padding="same", l1=l1, l2=l2), *norm, act, MaxPool2D(2)),
        *(Conv2D(32, 3, padding="same", l1=l1, l2=l2), *norm, act, MaxPool2D(2)),
        Flatten(),
        *(Dense(128, l1=l1, l2=l2), *normed, act, *drop),
        *(Dense(84, l1=l1, l2=l2), *normed, act, *drop),
        Dense(classes, l1=l1, l2=l2, name="head"),
    )
    return Chain(layers)


@architecture("slim-cnn")
def slim_cnn(
    input_shape: Shape = GREY28,
    classes: int = 10,
    *,
    filters: Sequence[Positive] = (8, 16, 32),
    units: Positive = 128,
    activation: ActivationName = "relu",
) -> Chain:
    """A small, fast net: a 3×3 convolution for each of `filters`, and a dense layer of `units`.

    All but the last pool at once: ReLU and max pooling may change places, and so norm and activation see a quarter of
    the numbers. Batch norm makes biases idle. The dense layer costs little, and sees where a feature is, which a global
    mean would hide.

    filters     the channels of each convolution
    units       of the dense layer
    activation  the activation function of each layer but the head
    """
    act, layers = activation_layer(activation), list[Layer]()
    for number, width in enumerate(filters, start=1):
        layers += [Conv2D(width, 3, padding="same", bias=False, initializer="he_normal")]
        layers += [MaxPool2D(2)] if number < len(filters) else []
        layers += [BatchNorm(), act]
    layers += [Flatten(), Dense(units, bias=False, initializer="he_normal"), BatchNorm(), act]
    return Chain((*layers, head(classes)))


@architecture("airbench")
def airbench(
    input_shape: Shape = COLOUR32,
    classes: int = 10,
    *,
    filters: Sequence[Positive] = (64, 256, 256),
    whitened: Positive = 24,
    activation: ActivationName = "gelu",
) -> Chain:
    """The net of the fastest recipes for CIFAR-10 (Jordan 2024, airbench94): a whitening, blocks of two convolutions.

    The first convolution is meant to start as a whitening of 2×2 patches (`weights.whiten`). Each block pools before it
    normalizes, so that norm and activation see a quarter of the numbers. The author also divides the head's outputs by
    nine, fixes the norms' scales and does without the head's bias.

    filters     the channels of each block
    whitened    the channels of the first convolution
    activation  the activation function of each layer but the head
    """
    act, layers = activation_layer(activation), list[Layer]()
    for width in filters:
        first, second = (Conv2D(width, 3, padding="same", bias=False, initializer="he_normal") for _ in range(2))
        layers += [first, MaxPool2D(2), BatchNorm(), act, second, BatchNorm(), act]
    return Chain((Conv2D(whitened, 2), act, *layers, MaxPool2D(3), Flatten(), head(classes)))


@architecture("vgg-small")
def vgg_small(
    input_shape: Shape = GREY32,
    classes: int = 10,
    *,
    filters: Sequence[Positive] = (32, 64, 128),
    dropout: Sequence[Rate] = (0.2, 0.3, 0.4),
    units: Positive = 128,
    head_dropout: Rate = 0.5,
    activation: ActivationName = "selu",
) -> Chain:
    """A VGG-like net: pairs of 3×3 convolutions, each followed by its activation and batch norm.

    filters       the channels of each pair
    dropout       after each pair
    units         of the dense layer
    head_dropout  after the dense layer
    activation    the activation function of each layer but the head
    """
    if len(dropout) != len(filters):
        raise ModelError(
            f"model.dropout needs one rate per block: {len(filters)} blocks, {len(dropout)} rates.", key="model.dropout"
        )
    act, start = activation_layer(activation), initializer_for(activation)
    layers: list[Layer] = []
    for width, rate in zip(filters, dropout, strict=True):
        layers += [Conv2D(width, 3, padding="same", initializer=start), act, BatchNorm()] * 2
        layers += [MaxPool2D(2), *([Dropout(rate)] if rate else [])]
    layers += [Flatten(), Dense(units, initializer=start), act, BatchNorm()]
    layers += [Dropout(head_dropout)] if head_dropout else []
    return Chain((*layers, head(classes)))


@architecture("vgg16")
def vgg16(
    input_shape: Shape = COLOUR32,
    classes: int = 10,
    *,
    units: Positive = 64,
    activation: ActivationName = "selu",
    dropout: Rate = 0.3,
) -> Chain:
    """The thirteen convolutions of VGG16 (Simonyan & Zisserman 2014) with a small dense head.

    units       of the dense layer
    activation  its activation function; the convolutions have ReLU
    dropout     after it
    """
    return _vgg((2, 2, 3, 3, 3), classes, units, activation, dropout)


@architecture("vgg19")
def vgg19(
    input_shape: Shape = COLOUR32,
    classes: int = 10,
    *,
    units: Positive = 64,
    activation: ActivationName = "selu",
    dropout: Rate = 0.3,
) -> Chain:
    """The sixteen convolutions of VGG19 (Simonyan & Zisserman 2014) with a small dense head.

    units       of the dense layer
    activation  its activation function; the convolutions have ReLU
    dropout     after it
    """
    return _vgg((2, 2, 4, 4, 4), classes, units, activation, dropout)


def _vgg(counts: Sequence[int], classes: int, units: int, activation: str, dropout: float) -> Chain:
    """Five blocks of so many 3×3 convolutions, each block with a pooling behind it, and the head."""
    layers: list[Layer] = []
    for count, width in zip(counts, (64, 128, 256, 512, 512), strict=True):
        layers += [Conv2D(width, 3, padding="same", initializer="he_normal"), ReLU()] * count + [MaxPool2D(2)]
    layers += [
        Flatten(),
        Dense(units, initializer=initializer_for(activation)),
        activation_layer(activation),
        BatchNorm(),
    ]
    layers += [Dropout(dropout)] if dropout else []
    return Chain((*layers, head(classes)))
