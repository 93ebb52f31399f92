"""The compiled augmentation equals the reference bit for bit, and the reference is what its formulas say."""

from __future__ import annotations

from typing import Any, NamedTuple, get_args

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from firstlight.kernels import Fill, compiled, reference
from firstlight.types import Array

FILLS = get_args(Fill)
# What scipy calls the same: its own "constant" does not blend an edge with the constant.
SCIPY = {"nearest": "nearest", "reflect": "reflect", "constant": "grid-constant"}
IDENTITY = np.eye(2, 3)
PLAIN = (1.0, 0.0, 0.0)

quick = settings(max_examples=30, deadline=None, derandomize=True)
shapes = st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]))
both = pytest.mark.parametrize("kernels", [reference, compiled], ids=["reference", "compiled"])


class Case(NamedTuple):
    """What `augment` takes."""

    pixels: Array
    index: Array  # type: ignore[assignment]  # it hides the method of tuples
    maps: Array
    light: Array
    keys: Array
    patches: Array

    def __call__(self, kernels: Any, fill: str = "nearest", value: int = 0) -> Array:
        return kernels.augment(*self, fill, value)


def images(shape: tuple[int, ...], n: int = 5, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)


def case(pixels: Array, maps: Any = IDENTITY, light: Any = PLAIN, patch: Any = (0, 0, 0, 0), key: int = 0) -> Case:
    """The same for each image."""
    n = len(pixels)
    return Case(
        pixels,
        np.arange(n),
        np.broadcast_to(np.asarray(maps, float), (n, 2, 3)).copy(),
        np.broadcast_to(np.asarray(light, np.float32), (n, 3)).copy(),
        np.arange(key, key + n, dtype=np.uint64),
        np.broadcast_to(np.asarray(patch, np.int64), (n, 4)).copy(),
    )


def mapped(kernels: Any, pixels: Array, maps: Any, fill: str = "nearest", value: int = 0) -> Array:
    return case(pixels, maps)(kernels, fill, value)


def any_case(shape: tuple[int, int, int], seed: int, n: int = 9, wild: float = 1.0) -> Case:
    """Maps about the image's middle, wilder than any augmentation asks for, and all the rest."""
    draw = np.random.default_rng(seed)
    H, W, _ = shape
    maps = draw.normal(IDENTITY, wild * np.array([0.7, 0.7, max(H, W)]), (n, 2, 3))
    maps[0] = IDENTITY
    light = np.stack([draw.uniform(0, 3, n), draw.uniform(-200, 200, n), draw.uniform(0, 60, n)], 1)
    light[::3] = PLAIN
    corners = np.sort(draw.integers(0, [[H + 1], [W + 1]], (n, 2, 2)), axis=2)
    keys = draw.integers(0, 2**64, n, np.uint64)
    return Case(
        images(shape, 20, seed),
        draw.integers(0, 20, n),
        maps,
        light.astype(np.float32),
        keys,
        np.where(np.arange(n)[:, None] % 2, corners.reshape(n, 4), 0),
    )


@quick
@given(shapes, st.integers(0, 2**32), st.sampled_from(FILLS), st.integers(0, 255), st.sampled_from([0.1, 1.0, 40.0]))
def test_compiled_equals_the_reference_bit_for_bit(
    shape: tuple[int, int, int], seed: int, fill: str, value: int, wild: float
) -> None:
    one = any_case(shape, seed, wild=wild)
    assert np.array_equal(one(compiled, fill, value), one(reference, fill, value))


def test_the_result_depends_neither_on_the_threads_nor_on_the_company() -> None:
    one = any_case((28, 28, 1), 3, n=40)
    whole = one(compiled)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        assert np.array_equal(one(compiled), whole)
    finally:
        numba.set_num_threads(before)
    some = np.array([30, 2, 17])
    assert np.array_equal(Case(one.pixels, *(a[some] for a in one[1:]))(compiled), whole[some])


@both
@quick
@given(shapes, st.sampled_from(FILLS))
def test_what_has_nothing_to_happen_to_it_comes_out_as_it_was(kernels: Any, shape: Any, fill: str) -> None:
    pixels = images(shape)
    assert np.array_equal(mapped(kernels, pixels, IDENTITY, fill), pixels)
    nearly = IDENTITY + np.array([[0, 0, 1e-12], [0, 0, 0]])  # not by the shortcut
    assert np.array_equal(mapped(kernels, pixels, nearly, fill), pixels)


@both
@quick
@given(shapes, st.sampled_from(FILLS))
def test_flips_are_exact_and_their_own_inverse(kernels: Any, shape: Any, fill: str) -> None:
    pixels = images(shape)
    H, W, _ = shape
    for flip, axis in (([[1, 0, 0], [0, -1, W - 1]], 2), ([[-1, 0, H - 1], [0, 1, 0]], 1)):
        flipped = mapped(kernels, pixels, flip, fill, 9)
        assert np.array_equal(flipped, np.flip(pixels, axis))
        assert np.array_equal(mapped(kernels, flipped, flip, fill, 9), pixels)


@both
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_right_angle_is_that_of_numpy(kernels: Any, turns: int) -> None:
    pixels, middle = images((13, 13, 3)), 6.0
    cos, sin = np.cos(turns * np.pi / 2), np.sin(turns * np.pi / 2)  # not quite 0 and 1
    m = np.array([[cos, sin, 0], [-sin, cos, 0]])
    m[:, 2] = middle - m[:, :2] @ [middle, middle]
    assert np.array_equal(mapped(kernels, pixels, m), np.rot90(pixels, turns, axes=(1, 2)))


@both
@quick
@given(shapes, st.integers(-45, 45), st.integers(-45, 45), st.integers(0, 255))
def test_a_shift_by_whole_pixels_moves_them(kernels: Any, shape: Any, down: int, right: int, value: int) -> None:
    pixels = images(shape)
    maps = [[1, 0, -down], [0, 1, -right]]
    around = ((0, 0), (45, 45), (45, 45), (0, 0))
    modes: dict[str, Any] = {"nearest": {"mode": "edge"}, "reflect": {"mode": "symmetric"}}
    H, W, _ = shape
    rows, columns = slice(45 - down, 45 - down + H), slice(45 - right, 45 - right + W)
    for fill in FILLS:
        wide = np.pad(pixels, around, **modes.get(fill, {"constant_values": value}))
        assert np.array_equal(mapped(kernels, pixels, maps, fill, value), wide[:, rows, columns]), fill


@both
@quick
@given(shapes, st.integers(0, 255), st.integers(0, 2**32), st.sampled_from(["nearest", "reflect"]))
def test_a_plain_image_stays_plain(kernels: Any, shape: Any, level: int, seed: int, fill: str) -> None:
    maps = any_case(shape, seed, n=5).maps
    pixels = np.full((5, *shape), level, np.uint8)
    assert np.array_equal(mapped(kernels, pixels, maps, fill), pixels)


@both
def test_one_map_after_another_is_their_product(kernels: Any) -> None:
    pixels = images((11, 11, 1))
    turn, flip = np.array([[0, 1, 0], [-1, 0, 10]]), np.array([[1, 0, 0], [0, -1, 10]])
    both_at_once = turn[:, :2] @ flip + np.pad(turn[:, 2:], ((0, 0), (2, 0)))
    turned = mapped(kernels, pixels, turn)
    assert np.array_equal(mapped(kernels, turned, flip), mapped(kernels, pixels, both_at_once))
    assert not np.array_equal(mapped(kernels, turned, flip), turned)


def off_scipy(kernels: Any, one: Case, fill: str, value: int) -> float:
    """How far the maps of a case are from scipy's, in grey levels beyond the rounding."""
    found = case(one.pixels[one.index], one.maps)(kernels, fill, value).astype(float)
    worst = 0.0
    for n, (source, m) in enumerate(zip(one.pixels[one.index], one.maps, strict=True)):
        for c in range(source.shape[2]):
            truth = ndimage.affine_transform(
                source[:, :, c].astype(float), m[:, :2], m[:, 2], order=1, mode=SCIPY[fill], cval=value
            )
            worst = max(worst, float(np.abs(found[n, :, :, c] - truth).max()))
    return worst - 0.5


@both
@pytest.mark.parametrize("fill", FILLS)
def test_maps_are_those_of_scipy(kernels: Any, fill: str) -> None:
    for seed, shape in enumerate([(28, 28, 1), (32, 32, 3), (9, 17, 3), (1, 6, 1)]):
        assert off_scipy(kernels, any_case(shape, seed, wild=0.3), fill, 77) < 0.01


def test_the_check_against_scipy_rejects_what_is_wrong() -> None:
    one = any_case((9, 17, 3), 2, wild=0.3)

    class Swapped:
        """Takes rows for columns."""

        def augment(self, pixels: Array, index: Array, maps: Array, *rest: Any) -> Array:
            return reference.augment(pixels, index, maps[:, ::-1], *rest)

    class Cut:
        """Rounds down."""

        def augment(self, *arguments: Any) -> Array:
            found = reference.augment(*arguments)
            return np.where(found > 0, found - 1, 0).astype(np.uint8)

    class Filled:
        """Another fill than was asked for."""

        def augment(self, *arguments: Any) -> Array:
            return reference.augment(*arguments[:-2], "reflect", 0)  # type: ignore[call-arg]

    for broken in (Swapped(), Cut(), Filled()):
        assert off_scipy(broken, one, "nearest", 77) > 0.3


@both
def test_contrast_is_about_the_image_and_brightness_is_added(kernels: Any) -> None:
    pixels = images((12, 10, 3), seed=4)
    levels = pixels.astype(float)
    mean = levels.mean(axis=(1, 2, 3), keepdims=True)
    for factor, added in ((1.4, 0.0), (0.3, 10.0), (1.0, -60.0), (0.0, 0.0)):
        found = case(pixels, light=(factor, added, 0))(kernels)
        truth = np.clip(factor * (levels - mean) + mean + added, 0, 255)
        assert np.abs(found - truth).max() <= 0.501
    assert len(np.unique(case(pixels[:1], light=(0, 0, 0))(kernels))) == 1


@both
def test_noise_is_nearly_normal_and_each_images_own(kernels: Any) -> None:
    pixels = np.full((4, 64, 64, 3), 128, np.uint8)
    found = case(pixels, light=(1, 0, 20), key=2**33)(kernels)
    noise = (found.astype(float) - 128) / 20
    assert abs(noise.mean()) < 0.02
    assert noise.std() == pytest.approx(1, abs=0.02)
    assert np.abs(noise).max() < 5
    assert abs(stats.skew(noise.ravel())) < 0.05
    assert abs(stats.kurtosis(noise.ravel()) + 0.15) < 0.07, "that of a sum of eight even numbers: -1.2 / 8"
    flat = noise.reshape(4, -1)
    assert np.abs(np.corrcoef(flat) - np.eye(4)).max() < 0.05, "images have noise of their own"
    for lag in (1, 3, 192):
        assert abs(np.corrcoef(flat[0, :-lag], flat[0, lag:])[0, 1]) < 0.05, lag
    assert np.array_equal(case(pixels, light=(1, 0, 20), key=2**33)(kernels), found)
    assert not np.array_equal(case(pixels, light=(1, 0, 20), key=2**34)(kernels), found), "the upper half counts"


@both
def test_a_patch_is_painted_last(kernels: Any) -> None:
    pixels = images((8, 9, 3))
    found = case(pixels, light=(1, 30, 5), patch=(2, 5, 0, 9))(kernels, value=200)
    assert (found[:, 2:5] == 200).all()
    bare = case(pixels, light=(1, 30, 5))(kernels, value=200)
    found[:, 2:5] = bare[:, 2:5]
    assert np.array_equal(found, bare)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"index": np.array([0, 5])}, IndexError, r"indices 0\.\.5 of 5 images"),
        ({"index": np.array([-1, 0])}, IndexError, r"indices -1\.\.0 of 5 images"),
        ({"maps": np.full((2, 2, 3), np.nan)}, ValueError, "finite"),
        ({"maps": np.full((2, 2, 3), 1e9)}, ValueError, "a million"),
        ({"patches": np.array([[0, 9, 0, 1]] * 2)}, IndexError, "patches"),
        ({"patches": np.array([[0, 1, -1, 1]] * 2)}, IndexError, "patches"),
    ],
)
def test_what_lies_outside_is_an_error_and_no_crash(change: dict[str, Any], error: type, says: str) -> None:
    two = case(images((8, 8, 1)))
    two = Case(two.pixels, *(a[:2] for a in two[1:]))
    with pytest.raises(error, match=says):
        two._replace(**change)(compiled)


def test_no_images_at_all() -> None:
    none = case(images((8, 8, 1)))
    none = Case(none.pixels, *(a[:0] for a in none[1:]))
    for kernels in (reference, compiled):
        assert none(kernels).shape == (0, 8, 8, 1)
