"""The training images of an epoch, augmented: as pixels, a few batches ahead of training."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from firstlight.kernels import Kernels
from firstlight.pixels import located
from firstlight.prepare.augmentation import Augmentation, Draws
from firstlight.prepare.augmentations import Mixing
from firstlight.types import Array, Images, MixedImages

AHEAD = 1 << 19  # bytes of images that are made at once: they are still in the cache when a batch needs them
ODD = np.uint64(0x9E3779B97F4A7C15)  # sets apart the draws of an image that comes more than once


class Augmented:
    """Training images as they are drawn afresh for each epoch.

    balanced  whether images are mixed with those of all classes equally often, and not with all images

    Raises ExperimentError where what is asked for cannot be done to these images.
    """

    def __init__(
        self, images: Images, augmentation: Augmentation, seed: int, kernels: Kernels, balanced: bool = False
    ) -> None:
        augmentation.check(images)
        self.images, self.augmentation, self.seed, self.kernels = images, augmentation, seed, kernels
        self.samples = sample_keys(images.ids)
        self.balanced = balanced

    def batch(self, index: Array, epoch: int) -> Images:
        """The images at `index`, an image that comes twice drawn twice."""
        return self._made(index, self._drawn(index, epoch))

    def runs(self, order: Array, epoch: int, parts: Iterable[Array]) -> Iterator[tuple[Images, list[Array]]]:
        """For some of the `parts` of an epoch's order (places in it) at a time: images, and where in them each part is.

        Threads are not woken for each part, and a run's images do not outlive it in the cache.
        """
        drawn = self._drawn(order, epoch)
        for run in _runs(parts, AHEAD // math.prod(self.images.shape)):
            places = np.concatenate(run)
            ends = np.cumsum([len(part) for part in run])
            yield self._made(order[places], drawn.take(places)), np.split(np.arange(len(places)), ends[:-1])

    def _drawn(self, order: Array, epoch: int) -> _Drawn:
        samples = self.samples[order] + _turns(order) * ODD
        own = self._draws(samples, epoch)
        others = [self._others(step.other) for step in own.mixings]
        return _Drawn(own, [(index, self._draws(self.samples[index], epoch)) for index in others])

    def _draws(self, samples: Array, epoch: int) -> Draws:
        return self.augmentation.draws(self.seed, epoch, samples, self.images.shape)

    def _others(self, uniform: Array) -> Array:
        """The images to mix with, int64 (n,): each of all training images, or first of all classes, equally likely."""
        if not self.balanced:
            return (uniform[:, 0] * len(self.images)).astype(np.int64)
        by_class, sizes = self._by_class
        chosen = (uniform[:, 0] * len(sizes)).astype(np.int64)
        places = (uniform[:, 1] * sizes[chosen]).astype(np.int64)
        return by_class[(np.cumsum(sizes) - sizes)[chosen] + places]

    @cached_property
    def _by_class(self) -> tuple[Array, Array]:
        """All images with those of a class together, int64 (N,), and how many there are of each class that has any."""
        return np.argsort(self.images.labels, kind="stable"), np.unique(self.images.labels, return_counts=True)[1]

    def _made(self, index: Array, drawn: _Drawn) -> Images:
        source, make = self.images.pixels, self.augmentation.make
        pixels = make(*located(source, index), drawn.own, self.kernels)
        groups = None if self.images.groups is None else self.images.groups[index]
        labels, ids = self.images.labels[index], self.images.ids[index]
        if not self.augmentation.mixes:
            return Images(pixels, labels, ids, self.images.class_names, groups)
        rows = np.arange(len(index))
        targets = np.zeros((len(index), len(self.images.class_names)))
        targets[rows, labels] = 1
        for step, (others, draws) in zip(drawn.own.mixings, drawn.others, strict=True):
            chosen = np.flatnonzero(step.happens)
            if not len(chosen):
                continue
            assert isinstance(step.transform, Mixing)
            other = make(*located(source, others[chosen]), draws.take(chosen), self.kernels)
            mixed, shares = step.transform.mix(pixels[chosen], other, step.uniform[chosen], self.kernels)
            pixels[chosen] = mixed
            targets[chosen] *= shares[:, None]
            targets[chosen, self.images.labels[others[chosen]]] += 1 - shares
        images = Images(pixels, labels, ids, self.images.class_names, groups)
        return MixedImages.of(images, targets)


@dataclass(frozen=True, eq=False)
class _Drawn:
    """What is drawn for images; and for each way of mixing, the images that they are mixed with, and what for these."""

    own: Draws
    others: Sequence[tuple[Array, Draws]]

    def take(self, places: Array) -> _Drawn:
        return _Drawn(self.own.take(places), [(index[places], draws.take(places)) for index, draws in self.others])


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
