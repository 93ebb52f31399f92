"""What is explained: a net with the images and the predictions of its run, and what the net sees in images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from firstlight.explain.net import Net
from firstlight.randomness import generator
from firstlight.types import Array, Images, Predictions

WIDEST = 4096  # values of a layer: of wider maps, each channel's mean is taken

Watch = Callable[[str, int, int], None]  # what is done, how much of it, and of how much


@dataclass(frozen=True, eq=False)
class ExplainedRun:
    """A run in memory.

    splits       its prepared images, "train" and "test", and "validation" where it has them
    predictions  of "test", and of "validation" where it has them
    """

    net: Net
    splits: Mapping[str, Images]
    predictions: Mapping[str, Predictions]
    seed: int = 0

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.splits["train"].class_names

    def drawn(self, split: str, most: int) -> Array:
        """Where up to so many images of a split are, drawn by the seed, in their order."""
        order = generator(self.seed, "explain", split).permutation(len(self.splits[split]))
        return np.sort(order[:most])

    def images(self, splits: Iterable[str], ids: Iterable[str]) -> Images:
        """Images by their splits and ids, in that order."""
        every = [
            self.splits[split].take(self._places[split][str(name)]) for split, name in zip(splits, ids, strict=True)
        ]
        pixels, labels, names = (
            np.concatenate([getattr(one, field) for one in every]) for field in ("pixels", "labels", "ids")
        )
        return Images(pixels, labels, names, self.class_names)

    @cached_property
    def _places(self) -> dict[str, dict[str, Array]]:
        """Where each image of a split is, by its id."""
        return {
            split: {name: np.array([i]) for i, name in enumerate(images.ids.tolist())}
            for split, images in self.splits.items()
        }


@dataclass(frozen=True, eq=False)
class ImageRequest:
    """An image that was asked for.

    image   one prepared image
    split   where it is from; "" for one of the user's own, whose class is not known
    target  the class to look for; the predicted one where it is None
    """

    image: Images
    split: str
    target: int | None = None


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """Images with the layer's values for them, float32 (N, F), and what the net says of them, float32 (N, K)."""

    images: Images
    features: Array
    probabilities: Array

    def take(self, index: Array) -> ImageFeatures:
        return ImageFeatures(self.images.take(index), self.features[index], self.probabilities[index])


def extract_features(net: Net, images: Images, layer: str, what: str, tell: Watch) -> ImageFeatures:
    """The layer's values for images, and the net's answers, a chunk at a time."""
    features, outputs = [], []
    wide = np.prod(net.places[layer].shape) > WIDEST
    for start in range(0, len(images), net.chunk):
        x = net.prepared(images.pixels[start : start + net.chunk])
        values = net.session.trace(x, None, {layer, net.head}).values
        held = values[layer].mean(axis=(2, 3)) if wide and values[layer].ndim == 4 else values[layer]
        features.append(held.reshape(len(x), -1).astype(np.float32))
        outputs.append(values[net.head])
        tell(what, start + len(x), len(images))
    return ImageFeatures(images, np.concatenate(features), net.task.loss.probabilities(np.concatenate(outputs).T))
