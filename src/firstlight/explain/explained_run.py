"""What is explained: a net with the images and the predictions of its run, and an image that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from firstlight.explain.net import Net
from firstlight.randomness import generator
from firstlight.types import Array, Images, Predictions, joined

Progress = Callable[[str, int, int], None]  # what is done, how much of it, and of how much
Steps = Callable[[int, int], None]  # how much is done, and of how much

SAMPLE = 1000  # test images over which statistics are taken


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

    def sample(self) -> Images:
        """The test images, up to 1000 drawn by the seed, over which the statistics of the layers are taken."""
        return self.splits["test"].take(self.drawn("test", SAMPLE))

    def images(self, splits: Iterable[str], ids: Iterable[str]) -> Images:
        """Images by their splits and ids, in that order."""
        return joined(
            [self.splits[split].take(self._places[split][str(name)]) for split, name in zip(splits, ids, strict=True)]
        )

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
