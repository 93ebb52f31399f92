"""The nearest rows, against all distances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.errors import DataError
from firstlight.explain import neighbours
from firstlight.explain.neighbours import nearest_others, nearest_rows
from firstlight.randomness import generator
from firstlight.types import Array


def distances(x: Array, queries: Array) -> Array:
    return np.linalg.norm(x - queries[:, None].astype(np.float64), axis=2)


@settings(max_examples=50)
@given(n=st.integers(1, 30), q=st.integers(1, 9), d=st.integers(1, 5), k=st.integers(1, 12), seed=st.integers(0, 999))
def test_they_are_the_nearest_of_all(n: int, q: int, d: int, k: int, seed: int) -> None:
    x, queries = (generator(seed, name).integers(0, 3, (m, d)) for name, m in (("x", n), ("q", q)))
    found = nearest_rows(x, queries, k)
    every = distances(x, queries)
    k = min(k, n)
    assert found.indices.shape == found.distances.shape == (q, k)
    np.testing.assert_allclose(found.distances, np.sort(every, axis=1)[:, :k], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(every, found.indices, axis=1), found.distances, atol=1e-6)
    assert all(len(set(row)) == k for row in found.indices.tolist())
    order = np.lexsort((found.indices, found.distances), axis=1)
    assert (order == np.arange(k)).all()


def test_blocks_make_no_difference_and_progress_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    x, queries = generator(0).normal(size=(300, 8)), generator(1).normal(size=(70, 8))
    whole = nearest_rows(x, queries, 5)
    monkeypatch.setattr(neighbours, "BLOCK", 32)
    told: list[tuple[int, int]] = []
    parts = nearest_rows(x, queries, 5, lambda done, total: told.append((done, total)))
    assert np.array_equal(whole.indices, parts.indices)
    assert told == [(32, 70), (64, 70), (70, 70)]


def test_the_same_row_is_at_no_distance_at_all() -> None:
    x = 1e4 + generator(0).normal(size=(50, 6)).astype(np.float32)
    found = nearest_rows(x, x, 1)
    assert not found.distances.any()
    assert found.indices.ravel().tolist() == list(range(50))


@settings(max_examples=50)
@given(n=st.integers(2, 20), k=st.integers(1, 25), seed=st.integers(0, 999))
def test_others_leave_out_the_row_itself(n: int, k: int, seed: int) -> None:
    x = generator(seed).integers(0, 2, (n, 2))  # many equal rows
    chosen = generator(seed, "chosen").permutation(n)[: n // 2 + 1]
    found = nearest_others(x, chosen, k)
    every = distances(x, x[chosen])
    every[np.arange(len(chosen)), chosen] = np.inf
    assert not (found.indices == chosen[:, None]).any()
    np.testing.assert_allclose(found.distances, np.sort(every, axis=1)[:, : min(k, n - 1)], atol=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="as many features as the rows: 3; received 2"):
        nearest_rows(np.ones((4, 3)), np.ones((2, 2)), 1)
    with pytest.raises(DataError, match="at least 1; received 0"):
        nearest_rows(np.ones((4, 3)), np.ones((2, 3)), 0)
    with pytest.raises(DataError, match="rows of the queries are not finite"):
        nearest_rows(np.ones((4, 3)), np.full((2, 3), np.nan), 1)
    with pytest.raises(DataError, match="no neighbours among 1"):
        nearest_others(np.ones((1, 3)), np.array([0]), 1)
