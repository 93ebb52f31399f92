"""Which images make up each step of an epoch."""

from __future__ import annotations

from collections.abc import Iterator

from firstlight.errors import ExperimentError
from firstlight.randomness import generator
from firstlight.types import Array


def epoch_order(seed: int, epoch: int, n: int) -> Array:
    """The order of the n training images in an epoch, int64 (n,): a permutation that depends on nothing else."""
    return generator(seed, "order", epoch).permutation(n)


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
