"""Residual nets (He et al. 2015)."""

from __future__ import annotations

from collections.abc import Sequence

from firstlight.layers import (
    AvgPool2D,
    BatchNorm,
    Chain,
    Conv2D,
    GlobalAvgPool2D,
    Layer,
    MaxPool2D,
    PadChannels,
    ReLU,
    Residual,
)
from firstlight.models.registry import COLOUR32, Positive, architecture, head
from firstlight.types import Shape


@architecture("resnet20")
def resnet20(input_shape: Shape = COLOUR32, classes: int = 10, *, blocks: Positive = 3, width: Positive = 16) -> Chain:
    """The CIFAR ResNet of He et al. 2015, section 4.2: 6·blocks + 2 layers, shortcuts without parameters (option A).

    blocks  residual blocks in each of the three stages
    width   channels of the first stage; each other has twice as many as the one before
    """
    layers: list[Layer] = [*_conv_norm(width), ReLU()]
    for stage in range(3):
        filters = width * 2**stage
        for block in range(blocks):
            narrows = stage > 0 and block == 0
            # Every second pixel, and zeros for the channels that the shortcut lacks.
            shortcut = (AvgPool2D(1, stride=2), PadChannels(filters // 4, filters // 4)) if narrows else ()
            body = _plain(filters, stride=2 if narrows else 1)
            layers += [Residual(body, Chain(shortcut), name=f"block{stage + 1}_{block + 1}"), ReLU()]
    return Chain((*layers, GlobalAvgPool2D(), head(classes)))


@architecture("resnet18")
def resnet18(input_shape: Shape = (224, 224, 3), classes: int = 1000) -> Chain:
    """ResNet-18 for ImageNet (He et al. 2015, table 1), with shortcuts of 1×1 convolutions (option B)."""
    return _imagenet_net(classes, (2, 2, 2, 2))


@architecture("resnet34")
def resnet34(input_shape: Shape = (224, 224, 3), classes: int = 1000) -> Chain:
    """ResNet-34 for ImageNet (He et al. 2015, table 1), with shortcuts of 1×1 convolutions (option B)."""
    return _imagenet_net(classes, (3, 4, 6, 3))


@architecture("resnet50")
def resnet50(input_shape: Shape = (224, 224, 3), classes: int = 1000) -> Chain:
    """ResNet-50 for ImageNet (He et al. 2015, table 1), as torchvision has it.

    A bottleneck halves the image in its 3×3 convolution, not in its first 1×1 ("v1.5"), which skips no pixel.
    """
    return _imagenet_net(classes, (3, 4, 6, 3), bottleneck=True)


@architecture("resnet101v2")
def resnet101v2(input_shape: Shape = (224, 224, 3), classes: int = 1000) -> Chain:
    """ResNet-101 with norm and activation before each convolution (He et al. 2016), as Keras has it."""
    return _preactivated(classes, (3, 4, 23, 3))


@architecture("resnet152v2")
def resnet152v2(input_shape: Shape = (224, 224, 3), classes: int = 1000) -> Chain:
    """ResNet-152 with norm and activation before each convolution (He et al. 2016), as Keras has it."""
    return _preactivated(classes, (3, 8, 36, 3))


def _preactivated(classes: int, blocks: Sequence[int]) -> Chain:
    """The second version: a sum is not rectified, so that a shortcut goes from the stem to the head untouched.

    Keras's own differs at the edges of the first pooling: it pads with zeros, and what comes there is not rectified.

    A stage begins with a 1×1 convolution in its shortcut, which shares norm and activation with the body. It ends at
    half of its size: the last body has a stride, and its shortcut takes every second pixel.
    """
    layers: list[Layer] = [Conv2D(64, 7, stride=2, padding=3), MaxPool2D(3, stride=2, padding=1)]
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        for block in range(count):
            name = f"layer{stage + 1}_{block}"
            stride = 2 if block == count - 1 and stage < len(blocks) - 1 else 1
            ready = (BatchNorm(), ReLU())
            body = (
                *(_conv(width, 1), BatchNorm(), ReLU()),
                *(_conv(width, 3, stride), BatchNorm(), ReLU()),
                Conv2D(4 * width, 1, initializer="he_normal"),
            )
            if block == 0:
                widened = Residual(Chain(body), Conv2D(4 * width, 1, stride=stride, initializer="he_normal"))
                layers += [Chain((*ready, widened), name=name)]
            else:
                shortcut = (AvgPool2D(1, stride=stride),) if stride > 1 else ()
                layers += [Residual(Chain((*ready, *body)), Chain(shortcut), name=name)]
    return Chain((*layers, BatchNorm(), ReLU(), GlobalAvgPool2D(), head(classes)))


def _conv(filters: int, kernel: int, stride: int = 1) -> Conv2D:
    return Conv2D(filters, kernel, stride=stride, padding=kernel // 2, bias=False, initializer="he_normal")


def _imagenet_net(classes: int, blocks: Sequence[int], bottleneck: bool = False) -> Chain:
    """A stem that takes a quarter of the size, and four stages of `blocks`, each at half the size of the one before."""
    layers: list[Layer] = [*_conv_norm(64, 7, stride=2), ReLU(), MaxPool2D(3, stride=2, padding=1)]
    channels = 64
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        filters = 4 * width if bottleneck else width
        for block in range(count):
            stride = 2 if stage > 0 and block == 0 else 1
            body = _bottleneck(width, stride) if bottleneck else _plain(width, stride)
            shortcut = _conv_norm(filters, 1, stride) if channels != filters else ()
            layers += [Residual(body, Chain(shortcut), name=f"layer{stage + 1}_{block}"), ReLU()]
            channels = filters
    return Chain((*layers, GlobalAvgPool2D(), head(classes)))


def _plain(width: int, stride: int) -> Chain:
    """Two 3×3 convolutions."""
    return Chain((*_conv_norm(width, 3, stride), ReLU(), *_conv_norm(width)))


def _bottleneck(width: int, stride: int) -> Chain:
    """A 3×3 convolution between two of 1×1, which narrow the channels to `width` and widen them to four times that."""
    return Chain((*_conv_norm(width, 1), ReLU(), *_conv_norm(width, 3, stride), ReLU(), *_conv_norm(4 * width, 1)))


def _conv_norm(filters: int, kernel: int = 3, stride: int = 1) -> tuple[Layer, Layer]:
    return _conv(filters, kernel, stride), BatchNorm()
