"""Blur, deformation, colours and mixing: compiled equal to the reference, and that to what others compute."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.interpolate import BSpline

from firstlight.kernels import compiled, reference
from firstlight.types import Array

quick = settings(max_examples=20, deadline=None, derandomize=True)
shapes = st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]))
seeds = st.integers(0, 2**32)


def images(shape: tuple[int, ...], n: int = 5, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)


def bells(deviations: Array, reach: int) -> Array:
    found = np.exp(-0.5 * np.square(np.arange(reach + 1) / deviations[:, None]))
    return (found / (2 * found.sum(axis=1, keepdims=True) - 1)).astype(np.float32)


def arguments(name: str, shape: tuple[int, int, int], seed: int, n: int = 5) -> tuple[Any, ...]:
    draw, x = np.random.default_rng(seed), images(shape, n, seed)
    if name == "blur":
        return x, bells(draw.uniform(0.2, 3, n), int(draw.integers(0, 9)))
    if name == "elastic":
        return x, draw.integers(0, 2**64, n, np.uint64), float(draw.uniform(0, 5)), float(draw.uniform(0.5, 20))
    if name == "recolour":
        return images((*shape[:2], 3), n, seed), draw.normal(0, 0.7, (n, 3, 3)).astype(np.float32)
    corners = np.sort(draw.integers(0, [[shape[0] + 1], [shape[1] + 1]], (n, 2, 2)), axis=2)
    return x, images(shape, n, seed + 1), draw.integers(0, 257, n), corners.reshape(n, 4)


@pytest.mark.parametrize("name", ["blur", "elastic", "recolour", "mix"])
@quick
@given(shapes, seeds)
def test_compiled_equals_the_reference_bit_for_bit(name: str, shape: Any, seed: int) -> None:
    given_ = arguments(name, shape, seed)
    assert np.array_equal(getattr(compiled, name)(*given_), getattr(reference, name)(*given_))


@pytest.mark.parametrize("name", ["blur", "elastic", "recolour", "mix"])
def test_the_result_depends_neither_on_the_threads_nor_on_the_company(name: str) -> None:
    function, given_ = getattr(compiled, name), arguments(name, (28, 20, 3), 3, n=40)
    whole, some = function(*given_), np.array([30, 2, 17])
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        assert np.array_equal(function(*given_), whole)
    finally:
        numba.set_num_threads(before)
    few = [each[some] if isinstance(each, np.ndarray) else each for each in given_]
    assert np.array_equal(function(*few), whole[some])
    none = [each[:0] if isinstance(each, np.ndarray) else each for each in given_]
    assert function(*none).shape == (0, *whole.shape[1:])


def off_scipy(taps: Array) -> float:
    x = images((19, 14, 3), 1)
    truth = ndimage.gaussian_filter(x[0].astype(float), (1.7, 1.7, 0), mode="nearest", truncate=6 / 1.7)
    return float(np.abs(reference.blur(x, taps)[0] - truth).max())


def test_a_blur_is_that_of_scipy() -> None:
    assert off_scipy(bells(np.array([1.7]), 6)) < 0.51
    assert off_scipy(bells(np.array([1.8]), 6)) > 0.8, "the comparison tells another width"


def test_a_field_is_the_spline_of_scipy() -> None:
    spacing, size = 3.7, 20
    first, weights = reference.spline(size, spacing)
    values = np.random.default_rng(0).normal(size=first[-1] + 4)
    by_hand = reference._four(values, first, weights, 0)
    knots = np.arange(-3, len(values) + 1)
    theirs = BSpline(knots, values, 3)(np.arange(size) / spacing)
    np.testing.assert_allclose(by_hand, theirs, atol=1e-6)


def test_a_deformation_moves_by_its_amount_and_neighbours_alike() -> None:
    ramp = np.broadcast_to(np.arange(0, 240, 4, dtype=np.uint8)[:, None, None], (60, 60, 1))
    x = np.broadcast_to(ramp, (200, 60, 60, 1)).copy()
    keys = np.random.default_rng(0).integers(0, 2**64, 200, np.uint64)
    moved = (compiled.elastic(x, keys, 2.1 * 3, 12.0).astype(float) - x)[:, 12:-12, 12:-12, 0] / 4  # pixels, down
    assert moved.std() == pytest.approx(3, rel=0.06), "SPLINE_GAIN makes up for the smoothing"
    assert abs(moved.mean()) < 0.3
    near = np.corrcoef(moved[:, ::6, :-1].ravel(), moved[:, ::6, 1:].ravel())[0, 1]
    far = np.corrcoef(moved[:, 0, 0], moved[:, -1, -1])[0, 1]
    assert near > 0.97
    assert abs(far) < 0.25
    assert np.array_equal(compiled.elastic(x, keys, 0.0, 12.0), x)


def test_mixing_is_by_shares_and_a_patch_is_the_other_image() -> None:
    x, z = images((9, 8, 3)), images((9, 8, 3), seed=1)
    nowhere = np.zeros((5, 4), np.int64)
    for level in (0, 1, 128, 255, 256):
        share = level / 256
        found = compiled.mix(x, z, np.full(5, level), nowhere)
        assert np.abs(found - (share * x + (1 - share) * z)).max() <= 0.5
    pasted = compiled.mix(x, z, np.full(5, 256), np.broadcast_to([2, 5, 1, 8], (5, 4)).copy())
    assert np.array_equal(pasted[:, 2:5, 1:8], z[:, 2:5, 1:8])
    pasted[:, 2:5, 1:8] = x[:, 2:5, 1:8]
    assert np.array_equal(pasted, x)


@pytest.mark.parametrize(
    ("name", "change", "error"),
    [
        ("blur", (1, lambda taps: taps[:2]), ValueError),
        ("elastic", (1, lambda keys: keys[:2]), ValueError),
        ("elastic", (3, lambda spacing: 0.0), ValueError),
        ("recolour", (0, lambda pixels: pixels[..., :1]), ValueError),
        ("mix", (2, lambda levels: levels + 256), ValueError),
        ("mix", (3, lambda patches: patches + 40), IndexError),
        ("mix", (1, lambda others: others[:, 1:]), ValueError),
    ],
)
def test_what_lies_outside_is_an_error_and_no_crash(name: str, change: tuple[int, Any], error: type) -> None:
    given_ = [*arguments(name, (28, 20, 3), 3)]
    given_[change[0]] = change[1](given_[change[0]])
    with pytest.raises(error, match=name):
        getattr(compiled, name)(*given_)
