"""Which images make up each step of an epoch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from firstlight.errors import ExperimentError
from firstlight.randomness import generator
from firstlight.types import Array


def epoch_order(seed: int, epoch: int, n: int) -> Array:
    """The order of the n training images in an epoch, int64 (n,): a permutation that depends on nothing else."""
    return generator(seed, "order", epoch).permutation(n)


def balanced_order(seed: int, epoch: int, labels: Array) -> Array:
    """As many images as there are labels (N,), the classes equally often, in the order of an epoch: int64 (N,).

    Each of the K classes that occur is drawn N/K times, rounded down or up, by lot. Within a class, the counts of two
    images differ by at most one: where it has more images than are drawn, some are left out of this epoch.
    """
    if not len(labels):
        return epoch_order(seed, epoch, 0)
    draw = generator(seed, "order", epoch)
    classes = [np.flatnonzero(labels == k) for k in np.unique(labels)]
    each, rest = divmod(len(labels), len(classes))
    more = draw.permutation(len(classes)) < rest
    # np.resize goes round a class until there are enough
    drawn = [np.resize(draw.permutation(own), each + extra) for own, extra in zip(classes, more, strict=True)]
    return draw.permutation(np.concatenate(drawn))


def batches(order: Array, batch_size: int) -> Iterator[Array]:
    """Cut an order into index arrays (batch_size,); the last one is shorter where the division leaves a rest.

    A rest of a single image joins the batch before it: batch norm has no variance over one sample.
    """
    count = steps(len(order), batch_size)
    for step in range(count):
        yield order[step * batch_size : (step + 1) * batch_size if step < count - 1 else len(order)]


def steps(n: int, batch_size: int) -> int:
    """How many batches `batches` cuts n images into."""
    if batch_size < 1:
        raise ExperimentError(f"training.batch_size must be at least 1; received {batch_size}.")
    whole, rest = divmod(n, batch_size)
    return whole + (rest > 1 or (rest == 1 and whole == 0))
