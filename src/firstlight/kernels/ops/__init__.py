"""The operations of a graph: functions with `@operation`, each compiled when a graph first asks for it."""

from firstlight.kernels.ops import (
    activations,
    arithmetic,
    batch_norm,
    correlation,
    dropout,
    images,
    losses,
    one_image,
    pooling,
    winograd,
)

__all__ = [
    "activations",
    "arithmetic",
    "batch_norm",
    "correlation",
    "dropout",
    "images",
    "losses",
    "one_image",
    "pooling",
    "winograd",
]
