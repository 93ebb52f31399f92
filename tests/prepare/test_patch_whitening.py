"""Whitening filters: what they give of the patches they were made of is uncorrelated, and of variance one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.prepare import patch_whitening
from firstlight.prepare.patch_whitening import EPSILON, whitening_filters
from firstlight.types import Array


def patches(x: Array, kh: int, kw: int) -> Array:
    """(n, C kh kw), one by one."""
    _, _, H, W = x.shape
    return np.array(
        [image[:, i : i + kh, j : j + kw].ravel() for image in x for i in range(H - kh + 1) for j in range(W - kw + 1)]
    )


def images(C: int = 2, seed: int = 0) -> Array:
    """Smooth ones: neighbours are alike, and the channels too."""
    draw = np.random.default_rng(seed)
    x = np.cumsum(draw.normal(size=(30, C, 6, 7)), axis=3)
    return (x + x.mean(axis=1, keepdims=True)) / 3


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 9))
def test_what_they_give_is_uncorrelated_and_of_variance_one(C: int, kh: int, kw: int, seed: int) -> None:
    x, size = images(C, seed), C * kh * kw
    filters = whitening_filters(x, (kh, kw), 2 * size, epsilon=0.0)
    assert filters.shape == (2 * size, C, kh, kw)
    np.testing.assert_array_equal(filters[size:], -filters[:size])
    given_ = patches(x, kh, kw) @ filters[:size].reshape(size, -1).T
    np.testing.assert_allclose(given_.T @ given_ / len(given_), np.eye(size), atol=1e-8)
    spoilt = given_ * 1.01
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(spoilt.T @ spoilt / len(given_), np.eye(size), atol=1e-8)


@pytest.mark.parametrize(("asked", "made", "directions"), [(1, 1, 1), (2, 2, 1), (5, 5, 3), (16, 16, 8), (40, 16, 8)])
def test_fewer_filters_are_those_of_the_most_variance(asked: int, made: int, directions: int) -> None:
    x = images()
    filters = whitening_filters(x, (2, 2), asked)
    every = whitening_filters(x, (2, 2), 16)
    assert len(filters) == made
    np.testing.assert_array_equal(filters[:directions], every[:directions])
    np.testing.assert_array_equal(filters[directions:], -every[: made - directions])
    lengths = np.square(every[:8]).sum(axis=(1, 2, 3))
    assert (np.diff(lengths) >= 0).all(), "the more variance, the shorter the filter"


def test_patches_that_hardly_vary_are_not_made_large() -> None:
    filters = whitening_filters(np.zeros((3, 1, 4, 4)), (2, 2), 8)
    np.testing.assert_allclose(np.square(filters).sum(axis=(1, 2, 3)), 1 / EPSILON)


def test_a_sum_in_parts_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = whitening_filters(images(), (3, 2), 24)
    monkeypatch.setattr(patch_whitening, "BLOCK", 1)
    np.testing.assert_allclose(whitening_filters(images(), (3, 2), 24), whole, rtol=1e-9)
