"""Densely connected nets (Huang et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence

from firstlight.layers import AvgPool2D, BatchNorm, Chain, Concat, Conv2D, GlobalAvgPool2D, Layer, MaxPool2D, ReLU
from firstlight.models.registry import architecture, head
from firstlight.types import Shape

GROWTH = 32


@architecture("densenet121")
def densenet121(input_shape: Shape = (224, 224, 3), classes: int = 1000) -> Chain:
    """DenseNet-121 for ImageNet (Huang et al. 2016, table 1): growth 32, bottlenecks, and transitions that halve."""
    return _densenet(classes, (6, 12, 24, 16))


@architecture("densenet169")
def densenet169(input_shape: Shape = (224, 224, 3), classes: int = 1000) -> Chain:
    """DenseNet-169 for ImageNet (Huang et al. 2016, table 1): growth 32, bottlenecks, and transitions that halve."""
    return _densenet(classes, (6, 12, 32, 32))


@architecture("densenet201")
def densenet201(input_shape: Shape = (224, 224, 3), classes: int = 1000) -> Chain:
    """DenseNet-201 for ImageNet (Huang et al. 2016, table 1): growth 32, bottlenecks, and transitions that halve."""
    return _densenet(classes, (6, 12, 48, 32))


def _densenet(classes: int, blocks: Sequence[int]) -> Chain:
    """A stem that takes a quarter of the size, and blocks of dense layers with a transition between each two."""
    channels = 2 * GROWTH
    layers: list[Layer] = [_conv(channels, 7, stride=2, name="conv0"), BatchNorm(name="norm0"), ReLU()]
    layers += [MaxPool2D(3, stride=2, padding=1)]
    for block, count in enumerate(blocks, start=1):
        if block > 1:
            channels //= 2
            layers += [_transition(channels, f"transition{block - 1}")]
        layers += [_dense_layer(f"denselayer{block}_{i}") for i in range(1, count + 1)]
        channels += count * GROWTH
    return Chain((*layers, BatchNorm(name="norm5"), ReLU(), GlobalAvgPool2D(), head(classes)))


def _dense_layer(name: str) -> Concat:
    """All channels so far, and GROWTH new ones made of them."""
    squeeze = (BatchNorm(name="norm1"), ReLU(), _conv(4 * GROWTH, 1, name="conv1"))
    grow = (BatchNorm(name="norm2"), ReLU(), _conv(GROWTH, 3, name="conv2"))
    return Concat((Chain(()), Chain((*squeeze, *grow), name="body")), name=name)


def _transition(filters: int, name: str) -> Chain:
    """Half the channels, at half the size."""
    return Chain((BatchNorm(name="norm"), ReLU(), _conv(filters, 1, name="conv"), AvgPool2D(2)), name=name)


def _conv(filters: int, kernel: int, *, stride: int = 1, name: str) -> Conv2D:
    padding = kernel // 2
    return Conv2D(filters, kernel, stride=stride, padding=padding, bias=False, initializer="he_normal", name=name)
