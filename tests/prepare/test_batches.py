import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.errors import ExperimentError
from firstlight.prepare import batches, epoch_order, steps


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
