"""Weights whose first convolution whitens the training images' patches, where the experiment asks for it."""

from __future__ import annotations

import numpy as np

from firstlight.errors import ExperimentError
from firstlight.experiments.transfer import Start
from firstlight.models import Model
from firstlight.prepare import Preparation
from firstlight.prepare.patch_whitening import whitening_filters
from firstlight.prepare.preparation import standardized
from firstlight.randomness import generator
from firstlight.types import Array, Images

SAMPLE = 5_000  # training images whose patches are looked at, as Jordan (2024) does


def start(model: Model, preparation: Preparation, train: Images, seed: int) -> Start:
    """Initial weights of the seed, but for the first convolution; its further filters, if it has any, stay as drawn.

    Both engines are given the same: they are computed here, in float64.
    Raises ExperimentError where the net does not begin with a convolution.
    """
    name = first_convolution(model)
    weights = model.layout.named(model.layout.initial(seed))
    drawn = weights[f"{name}.W"]
    chosen = generator(seed, "whitening").permutation(len(train))[:SAMPLE]
    x = prepared(preparation, train.pixels[np.sort(chosen)])
    filters = whitening_filters(x, drawn.shape[2:], len(drawn))
    whitened = drawn.copy()
    whitened[: len(filters)] = filters
    sides = "×".join(map(str, drawn.shape[2:]))
    note = f"{len(filters)} of {len(drawn)} filters of {name} start as a whitening of the images' {sides} patches."
    return Start(model.layout.vector({**weights, f"{name}.W": whitened}), None, (note,))


def first_convolution(model: Model) -> str:
    """The path of the convolution that reads the images. Raises ExperimentError where there is none."""
    for row in model.summary():
        shape = row.shapes.get("W", ())
        if row.inputs == ("",) and len(shape) == 4 and shape[1] == model.input_shape[2]:
            return row.name
    raise ExperimentError(
        f"weights.whiten makes filters of the images' patches, and {model.name} does not begin with a convolution. "
        "Leave weights.whiten out, or take another model.",
        key="weights.whiten",
    )


def prepared(preparation: Preparation, pixels: Array) -> Array:
    """Pixels uint8 (N, H, W, C) as the net sees them, float64 (N, C, H, W)."""
    scale, shift = preparation.scale_shift(np.float64)
    x = pixels.transpose(0, 3, 1, 2) * scale + shift
    return np.moveaxis(standardized(np.moveaxis(x, 0, -1)), -1, 0) if preparation.per_image else x
