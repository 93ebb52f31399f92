"""The values that a layer gives for images, as rows of features to compare them by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firstlight.errors import DataError
from firstlight.explain.explained_run import Progress
from firstlight.explain.net import Net
from firstlight.types import Array, Images

WIDEST = 4096  # values of a layer: of wider maps, each channel's mean is taken


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """Images with the layer's values for them, float32 (N, F), and what the net says of them, float32 (N, K)."""

    images: Images
    features: Array
    probabilities: Array

    def take(self, index: Array) -> ImageFeatures:
        return ImageFeatures(self.images.take(index), self.features[index], self.probabilities[index])


def extract_features(net: Net, images: Images, layer: str, what: str, progress: Progress) -> ImageFeatures:
    """The layer's values for images, and the net's answers, a chunk at a time."""
    features = outputs = np.empty((0, 0), np.float32)  # made whole at once: many small ones would scatter the memory
    wide = np.prod(net.places[layer].shape) > WIDEST
    for start in range(0, len(images), net.chunk):
        x = net.prepared(images.pixels[start : start + net.chunk])
        values = net.session.trace(x, None, {layer, net.head}).values
        held = values[layer].mean(axis=(2, 3)) if wide and values[layer].ndim == 4 else values[layer]
        rows, answers = held.reshape(len(x), -1), values[net.head]
        if start == 0:
            features = np.empty((len(images), rows.shape[1]), np.float32)
            outputs = np.empty((len(images), *answers.shape[1:]), answers.dtype)
        block = slice(start, start + len(x))
        features[block], outputs[block] = rows, answers
        progress(what, block.stop, len(images))
    return ImageFeatures(images, features, net.task.loss.probabilities(outputs.T))


def finite_rows(features: Array, what: str = "features") -> Array:
    """The features as a new float32 array (N, D). Raises DataError where they are not finite numbers of that shape."""
    found = np.asarray(features)
    if found.ndim != 2 or 0 in found.shape or found.dtype.kind not in "fiub":
        raise DataError(
            f"The {what} must be numbers of shape (images, features); received {found.dtype} {found.shape}."
        )
    with np.errstate(over="ignore"):
        found = found.astype(np.float32)
    wrong = ~np.isfinite(found).all(axis=1)
    if wrong.any():
        raise DataError(
            f"{int(wrong.sum())} of {len(found)} rows of the {what} are not finite, the first is row "
            f"{int(wrong.argmax())}. Did the training of the net diverge?"
        )
    return found
