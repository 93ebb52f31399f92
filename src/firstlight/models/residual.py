"""Residual nets."""

from __future__ import annotations

from firstlight.layers import AvgPool2D, BatchNorm, Chain, Conv2D, GlobalAvgPool2D, Layer, PadChannels, ReLU, Residual
from firstlight.models.registry import COLOUR32, architecture, head
from firstlight.types import Shape


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
    return Chain((*layers, GlobalAvgPool2D(), head(classes)))


def _conv_norm(filters: int, stride: int = 1) -> tuple[Layer, Layer]:
    conv = Conv2D(filters, 3, stride=stride, padding=1, bias=False, initializer="he_normal")
    return conv, BatchNorm()
