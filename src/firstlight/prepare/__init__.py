"""From images to what a model takes: the preparation fitted on the training images, and the order of batches."""

from firstlight.prepare.batches import batches, epoch_order, steps
from firstlight.prepare.preparation import IMAGENET_MEAN, IMAGENET_STD, Preparation

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Preparation", "batches", "epoch_order", "steps"]
