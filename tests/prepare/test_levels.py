"""Numbers that are not bytes, as the levels of a pixel."""

from __future__ import annotations

import numpy as np
import pytest

import firstlight as fl
from firstlight.prepare import Levels, Preparation
from firstlight.types import Array, Images

BYTES = np.arange(0, 256, 5, dtype=np.uint8).reshape(13, 4)


def _images(pixels: Array) -> Images:
    n = len(pixels)
    return Images(pixels, np.zeros(n, np.int64), np.arange(n).astype(str), ("one",))


def test_bytes_stay_as_they_are() -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1)
    levels = Levels.fit(pixels)
    assert levels == Levels(0, 255)
    assert levels.apply(pixels) is pixels


@pytest.mark.parametrize("white", [1, 16, 255, 1e4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_the_largest_of_numbers_without_a_sign_is_white(white: float, dtype: type) -> None:
    values = (np.linspace(0, 1, 256).reshape(1, 16, 16, 1) * white).astype(dtype)
    levels = Levels.fit(values)
    assert (levels.low, levels.high, levels.signed) == (0, white, False)
    pixels = levels.apply(values)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels / 255 * white - values).max() <= white / 510 + 1e-6
    assert pixels.max() == 255
    if white == 255 and dtype is not np.int64:
        assert (pixels.ravel() == np.arange(256)).all()


def test_numbers_with_a_sign_reach_the_model_as_they_were_given() -> None:
    values = np.random.default_rng(0).normal(size=(5000, 4, 4, 1))  # more than one chunk
    levels = Levels.fit(values)
    assert levels.signed
    pixels = levels.apply(values)
    preparation = levels.as_given(Preparation.fit(_images(pixels)))
    scale, shift = preparation.scale_shift(np.float64)
    seen = pixels.transpose(0, 3, 1, 2) * scale + shift
    span = values.max() - values.min()
    assert np.abs(seen - values.transpose(0, 3, 1, 2)).max() <= span / 510 + 1e-12
    assert Preparation.from_json(preparation.to_json()).to_json() == preparation.to_json()


def test_what_is_standardized_is_the_same_for_levels_and_numbers() -> None:
    values = np.random.default_rng(0).normal(3, 2, size=(400, 4, 4, 3))
    levels = Levels.fit(values)
    pixels = levels.apply(values)
    preparation = Preparation.fit(_images(pixels), standardise="channel")
    assert levels.as_given(preparation) is preparation
    scale, shift = preparation.scale_shift(np.float64)
    seen = pixels.transpose(0, 3, 1, 2) * scale + shift
    wanted = (values - values.mean((0, 1, 2))) / values.std((0, 1, 2))
    assert np.abs(seen - wanted.transpose(0, 3, 1, 2)).max() < 0.03


def test_what_lies_beyond_the_range_becomes_its_end() -> None:
    levels = Levels(-1, 1)
    beyond = np.array([-1e300, -2, -1, 1, 7, 1e300]).reshape(6, 1, 1, 1)
    assert levels.apply(beyond).ravel().tolist() == [0, 0, 0, 255, 255, 255]
    assert Levels(0, 16).apply(np.full((1, 1, 1, 1), 16, np.uint8)).item() == 255


@pytest.mark.parametrize("value", [-3.0, 0.0, 5.0])
def test_a_single_value_has_a_range_too(value: float) -> None:
    values = np.full((2, 2, 2, 1), value)
    levels = Levels.fit(values)
    assert levels.low <= value <= levels.high
    assert levels.low < levels.high
    assert levels.apply(values).dtype == np.uint8


def test_imagenets_statistics_are_of_brightness() -> None:
    values = np.linspace(-1, 1, 48).reshape(1, 4, 4, 3)
    levels = Levels.fit(values)
    preparation = Preparation.fit(_images(levels.apply(values)), standardise="imagenet")
    with pytest.raises(fl.ExperimentError, match=r"down to -1\."):
        levels.as_given(preparation)


@pytest.mark.parametrize(
    ("fitted", "asked", "doubted"),
    [
        (BYTES, BYTES / 255, True),
        (BYTES / 255, BYTES, True),
        (BYTES, BYTES / 16, False),
        (BYTES, (BYTES - 99.0) / 50, True),
        ((BYTES - 99.0) / 50, BYTES, True),
        ((BYTES - 99.0) / 50, (BYTES[:1] - 99.0) / 50, False),
        (BYTES / 16, BYTES / 255, True),
        (BYTES / 16, BYTES, True),
        (BYTES / 255, np.full((1, 4), -1e-9), False),
        (BYTES, BYTES // 100, False),
        (BYTES, BYTES * 0.0, False),
        (BYTES, BYTES.astype(np.int64), False),
    ],
)
def test_images_on_another_scale_are_doubted(fitted: Array, asked: Array, doubted: bool) -> None:
    assert bool(Levels.fit(fitted).doubt(asked)) == doubted
