"""Separation, against scikit-learn and against all distances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.metrics import silhouette_samples, silhouette_score
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from firstlight.errors import DataError
from firstlight.explain.separation import class_separation
from firstlight.randomness import generator
from firstlight.types import Array


@pytest.fixture(scope="module")
def digits() -> tuple[Array, Array]:
    found = load_digits()
    noise = generator(0).normal(scale=0.01, size=found.data.shape)  # no two distances are equal
    return (found.data + noise).astype(np.float32), found.target.astype(np.int64)


def by_hand(x: Array, labels: Array, k: int, leave_out: bool = True) -> tuple[float, float]:
    """Agreement and accuracy from all distances."""
    every = np.linalg.norm(x[:, None].astype(np.float64) - x, axis=2)
    if leave_out:
        np.fill_diagonal(every, np.inf)
    agree, right = [], []
    for own, row in zip(labels, every, strict=True):
        near = labels[np.argsort(row)[:k]].tolist()
        agree.append(near.count(own) / k)
        right.append(max(near, key=lambda c: (near.count(c), -near.index(c))) == own)
    return float(np.mean(agree)), float(np.mean(right))


def test_against_scikit_learn_and_by_hand(digits: tuple[Array, Array]) -> None:
    x, labels = digits[0][:300], digits[1][:300]
    found = class_separation(x, labels, 10, seed=0)
    each = silhouette_samples(x, labels)
    assert found.silhouette == pytest.approx(silhouette_score(x, labels), abs=1e-5)
    assert found.by_class == pytest.approx([each[labels == c].mean() for c in range(10)], abs=1e-5)
    assert (found.agreement, found.accuracy) == pytest.approx(by_hand(x, labels, 10))
    assert (found.sampled, found.k) == (300, 10)
    # The same, if every point counted as its own neighbour, would be told apart.
    assert found.agreement != pytest.approx(by_hand(x, labels, 10, leave_out=False)[0], abs=1e-3)


def test_one_neighbour_is_leave_one_out(digits: tuple[Array, Array]) -> None:
    x, labels = digits[0][:40], digits[1][:40]
    found = class_separation(x, labels, 10, seed=0, k=1)
    expected = cross_val_score(KNeighborsClassifier(1), x, labels, cv=LeaveOneOut()).mean()
    assert found.accuracy == found.agreement == pytest.approx(expected)
    assert 0.5 < expected < 1


@pytest.mark.parametrize("rare", [1.0, 0.2], ids=["even", "uneven"])
def test_a_sample_stands_for_all(digits: tuple[Array, Array], rare: float) -> None:
    kept = (digits[1] < 5) | (generator(0).random(1797) < rare)
    x, labels = digits[0][kept], digits[1][kept]
    whole = class_separation(x, labels, 10, seed=0)
    part = class_separation(x, labels, 10, seed=0, most=500)
    assert part.sampled <= 500 < whole.sampled == len(x)
    assert part.silhouette == pytest.approx(whole.silhouette, abs=0.02)
    assert part.agreement == pytest.approx(whole.agreement, abs=0.02)
    assert part == class_separation(x, labels, 10, seed=0, most=500)
    assert part != class_separation(x, labels, 10, seed=1, most=500)


def test_shuffled_labels_are_not_separate(digits: tuple[Array, Array]) -> None:
    x, labels = digits
    true = class_separation(x, labels, 10, seed=0, most=500)
    shuffled = class_separation(x, generator(0).permutation(labels), 10, seed=0, most=500)
    assert true.agreement > 0.9
    assert shuffled.agreement < 0.2
    assert shuffled.silhouette < 0 < true.silhouette


@settings(max_examples=50)
@given(n=st.integers(2, 25), classes=st.integers(2, 6), k=st.integers(1, 12), seed=st.integers(0, 999))
def test_any_points_have_sound_numbers(n: int, classes: int, k: int, seed: int) -> None:
    draw = generator(seed)
    x, labels = draw.integers(0, 4, (n, 2)), draw.integers(0, classes, n)
    labels[:2] = 0, 1
    found = class_separation(x, labels, classes, seed, k=k)
    assert -1 <= found.silhouette <= 1
    assert 0 <= found.agreement <= 1
    assert 0 <= found.accuracy <= 1
    counts = np.bincount(labels, minlength=classes)
    assert found.k == min([k, n - 1, *(counts[counts > 1] - 1).tolist()])
    assert [score is None for score in found.by_class] == (counts < 2).tolist()


def test_classes_that_lie_apart_agree_however_few_their_points_are() -> None:
    labels = np.repeat(np.arange(4), (5, 30, 30, 1))
    x = 100 * np.eye(4)[labels] + generator(0).random((66, 4))
    found = class_separation(x, labels, 4, seed=0)
    assert found.k == 4
    assert found.agreement == found.accuracy == pytest.approx(65 / 66)  # a class of one has none that could agree
    assert class_separation(x[5:], labels[5:], 4, seed=0).k == 10


def test_what_does_not_fit_is_refused() -> None:
    x = np.arange(8.0).reshape(4, 2)
    with pytest.raises(DataError, match="all 4 rows are of class 1"):
        class_separation(x, np.ones(4, int), 2, 0)
    with pytest.raises(DataError, match=r"Labels must lie in 0\.\.1; received 0\.\.2"):
        class_separation(x, np.array([0, 1, 2, 0]), 2, 0)
    with pytest.raises(DataError, match="4 rows need 4 integer labels"):
        class_separation(x, np.ones(4), 2, 0)
    with pytest.raises(DataError, match="at least 1; received 0"):
        class_separation(x, np.array([0, 1, 1, 0]), 2, 0, k=0)
