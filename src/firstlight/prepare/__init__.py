"""From images to what a model takes: the preparation fitted on the training images, and the order of batches."""

from firstlight.prepare.augmentation import Augmentation
from firstlight.prepare.augmented_images import Augmented
from firstlight.prepare.batches import balanced_order, batches, epoch_order, steps
from firstlight.prepare.class_weights import class_weights
from firstlight.prepare.levels import Levels
from firstlight.prepare.outside_images import outside_image, outside_images
from firstlight.prepare.preparation import IMAGENET_MEAN, IMAGENET_STD, Preparation, standardized

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Augmentation",
    "Augmented",
    "Levels",
    "Preparation",
    "balanced_order",
    "batches",
    "class_weights",
    "epoch_order",
    "outside_image",
    "outside_images",
    "standardized",
    "steps",
]
