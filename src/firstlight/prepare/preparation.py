"""How pixels become a model's input, fitted on the training images alone and saved with the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import DTypeLike

from firstlight.data.decoding import resize
from firstlight.errors import DataError, ExperimentError, ModelError, brief, nearest
from firstlight.pixels import blocks, changed
from firstlight.types import Array, Images, Json

Standardise = Literal["none", "pixel", "channel", "image", "imagenet"]

# Of red, green and blue in [0, 1], over the training images of ImageNet: what weights trained on it expect.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

EXACT = 258  # squares of bytes, at most, whose sum float32 has exactly: 258 · 255² < 2²⁴
CACHED = 1 << 18  # numbers that fit into a core's second-level cache


@dataclass(frozen=True, eq=False)
class Preparation:
    """The input of a model from uint8 images: resize, grey or colour, then x · scale + shift; "image" then by itself.

    input_shape  (H, W, C) of what the model takes, as `Model.input_shape`
    standardise  what the statistics were taken over
    scale, shift  float64 (C, 1, 1), or (C, H, W) where each pixel has its own
    """

    input_shape: tuple[int, int, int]
    standardise: Standardise
    scale: Array
    shift: Array

    @classmethod
    def fit(
        cls, train: Images, *, greyscale: bool = False, scale: bool = True, standardise: Standardise = "none"
    ) -> Preparation:
        """Fit on training images: their size, their channels (one if `greyscale`), and their statistics.

        scale        x / 255, so that inputs lie in [0, 1]
        standardise  (x − mean) / std after that, over the images for each "pixel" and channel, or over the images and
                     pixels for each "channel"; where std is 0 it is taken as 1. "image" takes each image's own, over
                     its pixels and channels. "imagenet" takes ImageNet's statistics, and three channels: grey images
                     become grey ones of red, green and blue

        Raises DataError for no images, ExperimentError for another `standardise`.
        """
        if standardise not in get_args(Standardise):
            known = nearest(standardise, get_args(Standardise))
            raise ExperimentError(f"prepare.standardise: there is no {standardise!r}. {known}")
        if not len(train):
            raise DataError("Preprocessing is fitted on training images; there are none.")
        pixels = changed(train.pixels, luma) if greyscale else train.pixels
        height, width, channels = pixels.shape[1:]
        if standardise == "imagenet":
            if greyscale:
                raise ExperimentError('prepare.standardise = "imagenet" is of colours: leave prepare.greyscale out.')
            mean, std = (np.reshape(values, (3, 1, 1)) for values in (IMAGENET_MEAN, IMAGENET_STD))
            return cls((height, width, 3), standardise, 1 / (255 * std), -mean / std)
        unit = 1 / 255 if scale else 1.0
        factor, offset = np.full((channels, 1, 1), unit), np.zeros((channels, 1, 1))
        if standardise in ("pixel", "channel"):
            mean, std = _statistics(pixels, per_pixel=standardise == "pixel")
            factor = np.where(std > 0, 1 / np.where(std > 0, std, 1), unit)
            offset = -mean * factor
        return cls((height, width, channels), standardise, factor, offset)

    @property
    def per_image(self) -> bool:
        """Whether each image is then standardized by its own mean and standard deviation; see `standardized`."""
        return self.standardise == "image"

    @property
    def size(self) -> tuple[int, int]:
        """The (H, W) that images are resized to."""
        return self.input_shape[:2]

    def apply(self, images: Images) -> Images:
        """As `apply_to_pixels`; the images themselves where they fit already. Mapped ones are changed when read."""
        pixels = changed(images.pixels, self.apply_to_pixels)
        return images if pixels is images.pixels else replace(images, pixels=pixels)

    def apply_to_pixels(self, pixels: Array) -> Array:
        """The part that stays uint8, from (N, H, W, 1 or 3) to (N, *input_shape).

        Resized to `size`, as image files are while they are read, then luma where the model takes grey, or repeated
        where it takes RGB. The affine part is left to the engine, which does it batch by batch.
        """
        pixels = resize(pixels, self.size)
        channels = self.input_shape[2]
        if channels == 1:
            return luma(pixels)
        return np.repeat(pixels, channels, axis=3) if pixels.shape[3] < channels else pixels

    def scale_shift(self, dtype: DTypeLike) -> tuple[Array, Array]:
        """The affine map x · scale + shift as two contiguous arrays (C, H, W) of `dtype`."""
        shape = (self.input_shape[2], *self.size)
        scale, shift = (np.ascontiguousarray(np.broadcast_to(a, shape), dtype) for a in (self.scale, self.shift))
        return scale, shift

    def to_json(self) -> Json:
        """Plain values; `from_json` gives back the very same numbers."""
        return {
            "input_shape": [self.input_shape[2], *self.size],  # channels first, on disk alone
            "standardise": self.standardise,
            "scale": self.scale.tolist(),
            "shift": self.shift.tolist(),
        }

    @classmethod
    def from_json(cls, value: Json) -> Preparation:
        """The preparation that `to_json` wrote. Raises ModelError where it is malformed."""
        try:
            channels, height, width = map(int, value["input_shape"])
            shape = (channels, height, width)
            scale, shift = (np.array(value[name], np.float64) for name in ("scale", "shift"))
            if scale.shape != shift.shape or scale.shape not in ((channels, 1, 1), shape):
                raise ValueError(f"scale {scale.shape} and shift {shift.shape} do not fit the input {shape}")
            if value["standardise"] not in get_args(Standardise):
                raise ValueError(f"standardise is {value['standardise']!r}")
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"The model's preprocessing is malformed: {brief(str(error))}.") from error
        return cls((height, width, channels), value["standardise"], scale, shift)


def standardized(x: Array) -> Array:
    """(x − mean) / std of each image of x (C, H, W, N), over its channels and pixels; a std of 0 is taken as 1."""
    apart = x - x.mean(axis=(0, 1, 2), dtype=np.float64)
    std = np.sqrt(np.square(apart).mean(axis=(0, 1, 2)))
    standard: Array = (apart / np.where(std > 0, std, 1)).astype(x.dtype)
    return standard


def luma(pixels: Array) -> Array:
    """Grey uint8 (N, H, W, 1) from (N, H, W, C): 0.299 R + 0.587 G + 0.114 B, rounded (ITU-R BT.601)."""
    if pixels.shape[3] == 1:
        return pixels
    grey = np.empty((*pixels.shape[:3], 1), np.uint8)
    weights = np.array([299, 587, 114], np.uint32)
    for start, block in blocks(pixels):
        grey[start : start + len(block), :, :, 0] = (block.astype(np.uint32) @ weights + 500) // 1000
    return grey


def _statistics(pixels: Array, per_pixel: bool) -> tuple[Array, Array]:
    """Mean and standard deviation over the images, float64 (C, H, W), or (C, 1, 1) over the pixels as well.

    The sums are of integers below 2²⁴, which float32 adds exactly, so that a constant pixel has the standard deviation
    0. They are taken of so few images at a time that these stay in the cache.
    """
    height, width, channels = pixels.shape[1:]
    sums: Array = np.zeros((2, height * width * channels))  # of the pixels, and of their squares
    at_once = max(1, min(EXACT, CACHED // sums.shape[1]))
    for _, block in blocks(pixels):
        for start in range(0, len(block), at_once):
            x = block[start : start + at_once].reshape(-1, sums.shape[1]).astype(np.float32)
            sums += x.sum(axis=0), np.einsum("ij,ij->j", x, x)
    sums, n = sums.reshape(2, height, width, channels), len(pixels)
    if not per_pixel:
        sums, n = sums.sum(axis=(1, 2), keepdims=True), n * height * width
    mean, mean_square = (sums / n).transpose(0, 3, 1, 2)
    return mean, np.sqrt(np.maximum(mean_square - mean**2, 0))
