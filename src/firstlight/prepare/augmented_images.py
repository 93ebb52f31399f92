"""The training images of an epoch, augmented: as pixels, a few batches ahead of training."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator

import numpy as np

from firstlight.kernels import Kernels
from firstlight.pixels import located
from firstlight.prepare.augmentation import Augmentation, Draws
from firstlight.types import Array, Images

AHEAD = 1 << 19  # bytes of images that are made at once: they are still in the cache when a batch needs them
ODD = np.uint64(0x9E3779B97F4A7C15)  # sets apart the draws of an image that comes more than once


class Augmented:
    """Training images as they are drawn anew for each epoch."""

    def __init__(self, images: Images, augmentation: Augmentation, seed: int, kernels: Kernels) -> None:
        self.images, self.augmentation, self.seed, self.kernels = images, augmentation, seed, kernels
        self.samples = sample_keys(images.ids)

    def batch(self, index: Array, epoch: int) -> Images:
        """The images at `index`, an image that comes twice drawn twice."""
        return self._made(index, self._draws(index, epoch))

    def runs(self, order: Array, epoch: int, parts: Iterable[Array]) -> Iterator[tuple[Images, list[Array]]]:
        """For some of the `parts` of an epoch's order (places in it) at a time: images, and where in them each part is.

        Threads are not woken for each part, and a run's images do not outlive it in the cache.
        """
        draws = self._draws(order, epoch)
        for run in _runs(parts, AHEAD // math.prod(self.images.shape)):
            places = np.concatenate(run)
            ends = np.cumsum([len(part) for part in run])
            yield self._made(order[places], draws.take(places)), np.split(np.arange(len(places)), ends[:-1])

    def _draws(self, order: Array, epoch: int) -> Draws:
        samples = self.samples[order] + _turns(order) * ODD
        return self.augmentation.draws(self.seed, epoch, samples, self.images.pixels.shape[1:3])

    def _made(self, index: Array, draws: Draws) -> Images:
        how = self.augmentation
        where = located(self.images.pixels, index)
        pixels = self.kernels.augment(
            *where, draws.maps, draws.light, draws.keys, draws.patches, how.fill, how.fill_value
        )
        groups = None if self.images.groups is None else self.images.groups[index]
        return Images(pixels, self.images.labels[index], self.images.ids[index], self.images.class_names, groups)


def sample_keys(ids: Array) -> Array:
    """A hash of each id, uint64 (N,): what the draws for a sample depend on."""
    digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in ids.tolist())
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def _turns(order: Array) -> Array:
    """How often each image has come before in an order, uint64 (n,): never, but where sampling repeats some."""
    turns = np.zeros(len(order), np.uint64)
    if len(order) and np.bincount(order).max() > 1:
        together = np.argsort(order, kind="stable")
        ranked = order[together]
        turns[together] = np.arange(len(order)) - np.searchsorted(ranked, ranked)
    return turns


def _runs(parts: Iterable[Array], most: int) -> Iterator[list[Array]]:
    """The parts in runs of at most `most` places together, a part that has more by itself."""
    run: list[Array] = []
    for part in parts:
        if run and sum(map(len, run)) + len(part) > most:
            yield run
            run = []
        run.append(part)
    if run:
        yield run
