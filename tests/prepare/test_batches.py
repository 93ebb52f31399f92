import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.errors import ExperimentError
from firstlight.prepare import balanced_order, batches, epoch_order, steps


@given(st.integers(0, 2**31), st.integers(0, 1000), st.integers(0, 300))
def test_an_order_is_a_permutation_by_key(seed, epoch, n):
    order = epoch_order(seed, epoch, n)
    assert order.dtype == np.int64
    assert sorted(order) == list(range(n))
    np.testing.assert_array_equal(order, epoch_order(seed, epoch, n))


def test_epochs_and_seeds_differ():
    orders = {tuple(epoch_order(seed, epoch, 50)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


@given(st.integers(0, 100), st.integers(1, 40))
def test_batches_keep_every_image_and_the_order(n, batch_size):
    order = epoch_order(0, 0, n)
    parts = list(batches(order, batch_size))
    assert len(parts) == steps(n, batch_size)
    assert all(len(part) == batch_size for part in parts[:-1])
    assert all(len(part) <= batch_size + 1 for part in parts)
    assert n == 1 or batch_size == 1 or all(len(part) > 1 for part in parts), "no lone last image"
    np.testing.assert_array_equal(np.concatenate([*parts, order[:0]]), order)


def test_batch_size_out_of_range():
    with pytest.raises(ExperimentError, match=r"training\.batch_size must be at least 1; received 0"):
        list(batches(np.arange(3), 0))


LABELS = st.lists(st.integers(0, 6), min_size=1, max_size=200).map(np.array)


@given(st.integers(0, 2**31), st.integers(0, 1000), LABELS)
def test_a_balanced_order_draws_every_class_and_every_image_evenly(seed, epoch, labels):
    order = balanced_order(seed, epoch, labels)
    assert order.dtype == np.int64
    assert len(order) == len(labels)
    np.testing.assert_array_equal(order, balanced_order(seed, epoch, labels))
    times = np.bincount(order, minlength=len(labels))
    of_classes = [times[labels == k] for k in np.unique(labels)]
    sums = [own.sum() for own in of_classes]
    assert max(sums) - min(sums) <= 1
    for own in of_classes:
        assert own.max() - own.min() <= 1


def test_balanced_epochs_and_seeds_differ():
    labels = np.arange(60) % 7 // 3
    orders = {tuple(balanced_order(seed, epoch, labels)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_in_time_every_image_of_a_large_class_is_drawn():
    labels = np.array([0] * 5 + [1] * 95)
    seen = np.concatenate([balanced_order(0, epoch, labels) for epoch in range(12)])
    assert len(np.unique(seen)) == 100


def test_the_classes_of_a_balanced_order_are_mixed():
    """A batch holds both classes, and no class comes first."""
    labels = np.array([0] * 100 + [1] * 900)
    firsts = labels[balanced_order(1, 0, labels)[:500]]
    assert 200 < firsts.sum() < 300


def test_of_nothing_nothing_is_drawn():
    assert len(balanced_order(0, 0, np.zeros(0, np.int64))) == 0
