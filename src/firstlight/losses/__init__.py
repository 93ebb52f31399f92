"""Losses, one file each: values, gradients by hand, twins in PyTorch, and the probabilities that outputs mean."""

from firstlight.components import import_modules
from firstlight.losses.base import LOSSES, ClassGraph, Loss, loss
from firstlight.losses.binary_cross_entropy import BinaryCrossEntropy
from firstlight.losses.cross_entropy import CrossEntropy
from firstlight.losses.focal import Focal
from firstlight.losses.half_squared_error import HalfSquaredError
from firstlight.losses.loss_step import LossStep
from firstlight.losses.mean_squared_error import MeanSquaredError
from firstlight.losses.softmax_binary_cross_entropy import SoftmaxBinaryCrossEntropy

import_modules(__name__, __path__)

__all__ = [
    "LOSSES",
    "BinaryCrossEntropy",
    "ClassGraph",
    "CrossEntropy",
    "Focal",
    "HalfSquaredError",
    "Loss",
    "LossStep",
    "MeanSquaredError",
    "SoftmaxBinaryCrossEntropy",
    "loss",
]
