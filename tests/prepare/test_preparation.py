import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from firstlight.errors import DataError, ExperimentError, ModelError
from firstlight.prepare import Preparation, standardized
from firstlight.prepare.preparation import luma
from firstlight.types import Images


def made(n=6, height=3, width=4, channels=3, seed=0):
    array = np.random.default_rng(seed).integers(0, 256, (n, height, width, channels), dtype=np.uint8)
    return of(array)


def of(array):
    return Images(array, np.zeros(len(array), np.int64), np.arange(len(array)).astype(np.str_), ("a",))


def model_input(preparation, images, dtype=np.float64):
    scale, shift = preparation.scale_shift(dtype)
    return preparation.apply(images).pixels.transpose(0, 3, 1, 2) * scale + shift


def test_scale():
    images = made()
    preparation = Preparation.fit(images)
    assert preparation.input_shape == images.shape == (3, 4, 3)
    assert preparation.size == (3, 4)
    np.testing.assert_allclose(model_input(preparation, images), images.pixels.transpose(0, 3, 1, 2) / 255, rtol=1e-15)
    plain = Preparation.fit(images, scale=False)
    np.testing.assert_array_equal(model_input(plain, images), images.pixels.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize(("standardise", "axes"), [("pixel", 0), ("channel", (0, 2, 3))])
def test_standardized_training_images_have_mean_0_and_deviation_1(standardise, axes, scale):
    images = made(n=5000)  # more than a chunk
    x = model_input(Preparation.fit(images, standardise=standardise, scale=scale), images)
    np.testing.assert_allclose(x.mean(axis=axes), 0, atol=1e-12)
    np.testing.assert_allclose(x.std(axis=axes), 1, rtol=1e-12)


@pytest.mark.parametrize("scale", [True, False])
def test_a_constant_pixel_is_only_scaled(scale):
    array = made(n=50).pixels.copy()
    array[:, 1, 2, 0] = 200
    images = of(array)
    preparation = Preparation.fit(images, standardise="pixel", scale=scale)
    assert preparation.scale_shift(np.float64)[0][0, 1, 2] == (1 / 255 if scale else 1)
    x = model_input(preparation, images)
    np.testing.assert_allclose(x[:, 0, 1, 2], 0, atol=1e-13)
    black = Preparation.fit(of(np.zeros((4, 2, 2, 1), np.uint8)), standardise="channel")
    assert np.isfinite(black.scale).all()


def test_statistics_come_from_the_images_fitted_on_alone():
    train, test = made(seed=1), made(seed=2)
    preparation = Preparation.fit(train, standardise="pixel")
    mean, std = train.pixels.mean(axis=0) / 255, train.pixels.std(axis=0) / 255
    expected = (test.pixels / 255 - mean) / std
    np.testing.assert_allclose(model_input(preparation, test), expected.transpose(0, 3, 1, 2), rtol=1e-12, atol=1e-12)


def test_scale_shift_are_contiguous_of_the_dtype_and_the_input_shape():
    for standardise in ("none", "pixel", "channel"):
        for array in Preparation.fit(made(), standardise=standardise).scale_shift(np.float32):
            assert array.dtype == np.float32
            assert array.shape == (3, 3, 4)
            assert array.flags.c_contiguous


@given(
    st.sampled_from(["none", "pixel", "channel"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 3]),
    st.integers(0, 2**32),
)
def test_round_trip_through_json_is_exact(standardise, scale, greyscale, channels, seed):
    images = made(channels=channels, seed=seed)
    first = Preparation.fit(images, standardise=standardise, scale=scale, greyscale=greyscale)
    again = Preparation.from_json(json.loads(json.dumps(first.to_json())))
    height, width, channels = again.input_shape
    assert first.to_json()["input_shape"] == [channels, height, width], "channels first, on disk alone"
    assert again.standardise == first.standardise
    np.testing.assert_array_equal(again.scale, first.scale)
    np.testing.assert_array_equal(again.shift, first.shift)
    np.testing.assert_array_equal(model_input(again, images, np.float32), model_input(first, images, np.float32))


def test_greyscale_is_luma():
    images = made()
    preparation = Preparation.fit(images, greyscale=True)
    assert preparation.input_shape == (3, 4, 1)
    exact = images.pixels @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(preparation.apply(images).pixels[..., 0], exact, atol=0.5 + 1e-9)
    pillow = [np.asarray(Image.fromarray(image).convert("L"), int) for image in images.pixels]
    assert np.abs(preparation.apply(images).pixels[..., 0] - pillow).max() <= 1
    np.testing.assert_array_equal(luma(np.full((1, 2, 2, 3), 255, np.uint8)), np.full((1, 2, 2, 1), 255))


def test_statistics_of_greyscale_are_those_of_the_luma():
    images = made(n=40)
    preparation = Preparation.fit(images, greyscale=True, standardise="channel")
    np.testing.assert_allclose(model_input(preparation, images).std(), 1)


def test_images_of_another_size_and_other_channels_are_fitted():
    colour, grey = made(height=9, width=7), made(channels=1)
    wants_grey, wants_colour = Preparation.fit(grey), Preparation.fit(colour)
    assert wants_grey.apply(colour).shape == (3, 4, 1)
    applied = wants_colour.apply(grey)
    assert applied.shape == (9, 7, 3)
    assert (applied.pixels == applied.pixels[..., :1]).all()
    np.testing.assert_array_equal(applied.ids, grey.ids)


def test_images_that_fit_already_are_not_copied():
    images = made()
    assert Preparation.fit(images).apply(images) is images


def test_errors():
    with pytest.raises(DataError, match="fitted on training images; there are none"):
        Preparation.fit(made(n=0))
    with pytest.raises(ExperimentError, match=r"prepare\.standardise: there is no 'pixels'\. Did you mean pixel"):
        Preparation.fit(made(), standardise="pixels")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"input_shape": [3, 3]},
        {"input_shape": [3, 9, 9]},
        {"scale": [1.0]},
        {"shift": [["a"]]},
        {"standardise": "whiten"},
        {"standardise": None},
    ],
)
def test_malformed_json(change):
    value = Preparation.fit(made(), standardise="pixel").to_json()
    with pytest.raises(ModelError, match="The model's preprocessing is malformed"):
        Preparation.from_json({**value, **change})
    del value["scale"]
    with pytest.raises(ModelError, match="The model's preprocessing is malformed: 'scale'"):
        Preparation.from_json(value)


def test_each_image_by_itself():
    images = made(n=5, seed=3)
    preparation = Preparation.fit(images, standardise="image")
    assert preparation.per_image
    assert Preparation.from_json(preparation.to_json()).per_image
    x = standardized(model_input(preparation, images).transpose(1, 2, 3, 0))
    np.testing.assert_allclose(x.mean(axis=(0, 1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(x.std(axis=(0, 1, 2)), 1, rtol=1e-12)
    brighter = standardized(3 * model_input(preparation, images).transpose(1, 2, 3, 0) + 0.5)
    np.testing.assert_allclose(x, brighter, rtol=1e-9)


def test_an_image_of_one_colour_is_all_zero():
    flat = standardized(np.full((1, 4, 4, 2), 0.7, np.float32))
    assert flat.dtype == np.float32
    np.testing.assert_allclose(flat, 0, atol=1e-6)
