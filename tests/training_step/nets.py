"""Nets of every kind of layer that a step is taken apart of, small enough for a step in milliseconds."""

from __future__ import annotations

from typing import Any

import numpy as np

from firstlight.layers import (
    ELU,
    AvgPool2D,
    BatchNorm,
    Chain,
    Concat,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    GroupNorm,
    LayerNorm,
    MaxPool2D,
    PadChannels,
    ReLU,
    Residual,
    SeparableConv2D,
    Sigmoid,
    Softmax,
    Tanh,
)
from firstlight.models import Model
from firstlight.training_step import Course, course_of_model
from firstlight.types import Images

CLASSES = ("a", "b", "c")
BODY = Chain((Conv2D(4, padding="same", bias=False), BatchNorm(), Tanh(), Conv2D(4, padding="same", name="second")))
NETS = {
    "conv": Chain((Conv2D(4, padding="same"), Tanh(), MaxPool2D(2), Conv2D(5), ReLU(), Flatten(), Dropout(0.5),
                   Dense(3), Softmax())),
    "residual": Chain((Conv2D(4, padding="same"), Residual(BODY), ReLU(), Residual(Conv2D(8, stride=2, padding=1),
                       Chain((AvgPool2D(1, stride=2), PadChannels(2, 2)))), GroupNorm(2), AvgPool2D(2),
                       GlobalAvgPool2D(), Dense(3))),
    "concat": Chain((Concat((Chain(()), DepthwiseConv2D(padding="same", multiplier=2))),
                     Concat((Conv2D(2, 1, name="one"), SeparableConv2D(3, padding=1))), LayerNorm(), ELU(),
                     GlobalAvgPool2D(), Dense(3))),
    "dense": Chain((Flatten(), Dense(6), BatchNorm(), Sigmoid(), Dense(3))),
}  # fmt: skip


def images(n: int = 4, side: int = 8) -> Images:
    draw = np.random.default_rng(3)
    pixels = draw.integers(0, 256, (n, side, side, 1), dtype=np.uint8)
    return Images(pixels, np.arange(n) % 3, np.array([f"image-{k}" for k in range(n)]), CLASSES)


def course(net: str = "conv", n: int = 4, **settings: Any) -> Course:
    return course_of_model(Model(net, NETS[net], (8, 8, 1), 3), images(n), **settings)
