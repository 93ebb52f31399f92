"""Losses, one file each: values, gradients by hand, twins in PyTorch, and the probabilities that outputs mean."""

from __future__ import annotations

from typing import Any

from firstlight.losses.base import ClassGraph, Loss
from firstlight.losses.binary_cross_entropy import BinaryCrossEntropy
from firstlight.losses.cross_entropy import CrossEntropy
from firstlight.losses.focal import Focal
from firstlight.losses.half_squared_error import HalfSquaredError
from firstlight.losses.mean_squared_error import MeanSquaredError
from firstlight.losses.softmax_binary_cross_entropy import SoftmaxBinaryCrossEntropy
from firstlight.options import choose

LOSSES: dict[str, type[Loss]] = {
    loss.name: loss
    for loss in (
        CrossEntropy,
        BinaryCrossEntropy,
        SoftmaxBinaryCrossEntropy,
        MeanSquaredError,
        HalfSquaredError,
        Focal,
    )
}


def loss(name: str, **options: Any) -> Loss:
    """The loss called `name` with its options. Raises ExperimentError for an unknown name or option."""
    return choose("loss", LOSSES, name, options)


__all__ = [
    "LOSSES",
    "BinaryCrossEntropy",
    "ClassGraph",
    "CrossEntropy",
    "Focal",
    "HalfSquaredError",
    "Loss",
    "MeanSquaredError",
    "SoftmaxBinaryCrossEntropy",
    "loss",
]
