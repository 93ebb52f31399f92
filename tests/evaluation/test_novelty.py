from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.evaluation import novelty
from firstlight.evaluation.novelty import WIDEST, ClassDistances, fewest, threshold

RANDOM = np.random.default_rng(0)
CENTRES = RANDOM.normal(0, 1, (3, 6))


def features(labels: np.ndarray, spread: float = 0.1, centres: np.ndarray = CENTRES) -> np.ndarray:
    random = np.random.default_rng(1)
    return (centres[labels] + random.normal(0, spread, (len(labels), centres.shape[1]))).astype(np.float32)


def fitted(labels: np.ndarray, x: np.ndarray) -> ClassDistances:
    found = ClassDistances.fit(x, labels)
    assert found is not None
    return found


LABELS = np.arange(300) % 3
NEAR = features(LABELS)


def test_the_distance_is_mahalanobis_to_the_nearest_mean_of_features_of_length_one() -> None:
    found = fitted(LABELS, NEAR)
    u = NEAR.astype(np.float64) / np.linalg.norm(NEAR, axis=1, keepdims=True)
    means = np.stack([u[k == LABELS].mean(axis=0) for k in range(3)])
    apart = u - means[LABELS]
    covariance = apart.T @ apart / len(u)
    precision = np.linalg.inv(covariance + 0.01 * np.trace(covariance) / 6 * np.eye(6))
    off = u[:, None] - means
    wanted = np.sqrt(np.einsum("nki,ij,nkj->nk", off, precision, off).min(axis=1))
    np.testing.assert_allclose(found.distances(NEAR), wanted, rtol=1e-3)


def test_few_images_and_many_have_the_same_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    found = fitted(LABELS, NEAR)
    few = found.distances(NEAR[:5])
    monkeypatch.setattr(novelty, "AT_ONCE", 0)
    np.testing.assert_allclose(few, found.distances(NEAR[:5]), rtol=1e-6)


def test_the_length_of_the_features_does_not_count() -> None:
    found = fitted(LABELS, NEAR)
    np.testing.assert_allclose(found.distances(7 * NEAR), found.distances(NEAR), rtol=1e-4)


def test_what_lies_elsewhere_is_farther() -> None:
    found = fitted(LABELS, NEAR)
    strange = features(LABELS, centres=-CENTRES)
    assert found.distances(strange).min() > 2 * found.distances(NEAR).max()


def test_of_more_features_the_leading_directions_tell() -> None:
    wide = np.random.default_rng(2).normal(0, 1, (3, 2 * WIDEST))
    x = features(LABELS, centres=wide)
    found = fitted(LABELS, x)
    assert found.whitening.shape == (WIDEST, 2 * WIDEST)
    assert found.distances(features(LABELS, centres=-wide)).min() > found.distances(x).max()


def test_a_class_without_images_has_no_centre() -> None:
    assert fitted(LABELS[LABELS != 1], NEAR[LABELS != 1]).centres.shape == (2, 6)


@pytest.mark.parametrize("x", [np.zeros((9, 4)), np.ones((9, 4)), np.full((9, 4), np.nan), np.ones((1, 4))])
def test_features_that_say_nothing_have_no_distances(x: np.ndarray) -> None:
    assert ClassDistances.fit(x, np.arange(len(x)) % 3) is None


def test_an_image_without_a_feature_has_a_distance() -> None:
    assert np.isfinite(fitted(LABELS, NEAR).distances(np.zeros((2, 6), np.float32))).all()


@given(n=st.integers(1, 400), rate=st.floats(0.001, 0.999))
def test_the_threshold_keeps_the_rate(n: int, rate: float) -> None:
    """Among n + 1 distances in any order, at most rate · (n + 1) would lie beyond the threshold of the others."""
    found = threshold(np.arange(n, dtype=np.float32), rate)
    assert (found is None) == (n < fewest(rate))
    if found is not None:
        beyond = n - 1 - found  # of the validation images themselves
        assert beyond + 1 <= rate * (n + 1) + 1e-6
        assert beyond + 2 > rate * (n + 1) - 1e-6


def test_the_rate_of_new_images_is_the_one_asked_for() -> None:
    random = np.random.default_rng(3)
    shares = []
    for _ in range(400):
        bound = threshold(random.normal(size=59), 0.05)
        assert bound is not None
        shares.append((random.normal(size=200) > bound).mean())
    assert math.isclose(float(np.mean(shares)), 0.05, abs_tol=0.006)


def test_fewest() -> None:
    assert [fewest(rate) for rate in (0.5, 0.1, 0.05, 0.01)] == [1, 9, 19, 99]
