"""Maps: seeds, neighbours that stay together, progress that can stop the work, and features that are odd."""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

import numba
import numpy as np
import openTSNE
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from firstlight.errors import DataError, ExperimentError
from firstlight.explain import projection
from firstlight.explain.neighbours import nearest_others
from firstlight.explain.projection import made_by, project
from firstlight.randomness import generator
from firstlight.types import Array

WAYS = ("pca", "openTSNE", "scikit-learn", "umap")


@pytest.fixture(scope="module")
def features() -> Array:
    return load_digits().data[:120].astype(np.float32)


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a library as if it were not installed."""

    def take_away(name: str) -> None:
        monkeypatch.setattr(projection, "find_spec", lambda n: None if n == name else importlib.util.find_spec(n))

    return take_away


@pytest.fixture(params=WAYS)
def method(request: pytest.FixtureRequest, without: Any) -> str:
    """Each method, t-SNE by both libraries."""
    if request.param == "scikit-learn":
        without("openTSNE")
    return request.param if request.param in projection.METHODS else "t-sne"


def kept(features: Array, points: Array, k: int = 10) -> float:
    """The share of each row's neighbours that are its neighbours on the map too."""
    everyone = np.arange(len(features))
    there, here = (nearest_others(x, everyone, k).indices for x in (features, points))
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(there, here, strict=True)]))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_points(method: str, features: Array) -> None:
    points = project(features, method, seed=3)
    assert points.shape == (120, 2)
    assert points.dtype == np.float32
    assert np.array_equal(points, project(features, method, seed=3))
    assert np.array_equal(points, project(features, method, seed=4)) == (method == "pca")


def test_neighbours_stay_neighbours(method: str, features: Array) -> None:
    points = project(features, method, seed=0)
    least = 0.2 if method == "pca" else 0.5
    assert kept(features, points) > least
    assert kept(features, generator(0).permutation(points)) < 0.15


@pytest.mark.slow
def test_many_points_keep_their_neighbours_too(features: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    few = functools.partial(openTSNE.TSNE, early_exaggeration_iter=50, n_iter=150)  # steps on a grid are long
    monkeypatch.setattr(openTSNE, "TSNE", few)
    by_tree = project(features, "t-sne", seed=0)
    monkeypatch.setattr(projection, "MANY", len(features))
    points = project(features, "t-sne", seed=0)
    assert kept(features, points) > 0.5
    assert not np.array_equal(points, by_tree)
    assert np.array_equal(points, project(features, "t-sne", seed=0))


def test_pca_is_that_of_the_features_whatever_their_scale(features: Array) -> None:
    expected = PCA(2).fit_transform(features.astype(np.float64))
    for scale in (1e-20, 1.0, 1e20):
        points = project(features * scale, "pca", seed=0) / scale
        np.testing.assert_allclose(points, expected, atol=2e-3)


def test_wide_features_are_seen_through_their_first_components(features: Array) -> None:
    wide = features @ generator(0).normal(size=(64, 300))
    points = project(wide, "t-sne", seed=0)
    assert kept(wide, points) > 0.5


def test_progress_goes_from_nothing_to_all(method: str, features: Array) -> None:
    told: list[tuple[int, int]] = []
    project(features, method, 0, lambda done, total: told.append((done, total)))
    done, totals = zip(*told, strict=True)
    assert len(set(totals)) == 1
    assert done[0] == 0
    assert done[-1] == totals[0]
    assert list(done) == sorted(done)
    assert len(done) > (1 if method == "pca" else 10)


def test_what_progress_raises_ends_the_work(method: str, features: Array) -> None:
    threads = numba.get_num_threads()
    last = -1

    def stop(done: int, total: int) -> None:
        nonlocal last
        last = done
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        project(features, method, 0, stop)
    assert 0 < last < 1000 or method == "pca"
    assert numba.get_num_threads() == threads


def test_scikit_learn_says_nothing_and_progress_may_print(
    features: Array, without: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    without("openTSNE")
    project(features[:40], "t-sne", 0, lambda done, total: print(f"{done} of {total}"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["0 of 1000", "50 of 1000", "100 of 1000"]
    assert all(" of 1000" in line for line in lines)


def test_which_library_makes_the_map(without: Any) -> None:
    assert made_by("t-sne").startswith("openTSNE 1")
    without("openTSNE")
    assert made_by("t-sne") == made_by("pca") != made_by("umap")


def test_a_library_that_is_missing_is_named(features: Array, without: Any) -> None:
    without("umap")
    with pytest.raises(ExperimentError, match=r"pip install 'firstlight\[umap\]'"):
        project(features, "umap", 0)


def test_an_unknown_method_is_told_with_the_nearest(features: Array) -> None:
    with pytest.raises(ExperimentError, match=r"no embedding called 'tsne'\. Did you mean t-sne"):
        project(features, "tsne", 0)


@pytest.mark.parametrize(
    "rows",
    [
        np.eye(4),
        np.arange(9.0)[:, None],
        np.repeat(np.eye(2, 5), 10, axis=0),
        np.vstack([np.zeros((40, 5)), np.ones((1, 5))]),
        np.eye(30) * 1e30,
        np.eye(30) * 1e-30,
        np.eye(12, dtype=bool),
    ],
    ids=["four", "a line", "two points", "an outlier", "huge", "tiny", "booleans"],
)
def test_odd_rows_have_a_sound_map(rows: Array, method: str) -> None:
    before = rows.copy()
    points = project(rows, method, seed=0)
    assert np.isfinite(points).all()
    assert np.ptp(points, axis=0).max() > 0
    assert np.array_equal(rows, before)


def test_equal_rows_lie_on_one_point(method: str) -> None:
    assert not project(np.full((7, 3), 0.1), method, seed=0).any()


@given(n=st.integers(1, 3), d=st.integers(1, 4), seed=st.integers(0, 2**40))
def test_few_rows_have_principal_components_but_no_neighbours(n: int, d: int, seed: int) -> None:
    rows = generator(seed).normal(size=(n, d))
    points = project(rows, "pca", seed)
    assert points.shape == (n, 2)
    if d <= 2:  # nothing is left out
        between = np.linalg.norm(rows[:, None] - rows, axis=2)
        np.testing.assert_allclose(np.linalg.norm(points[:, None] - points, axis=2), between, atol=1e-5)
    for method in ("t-sne", "umap"):
        with pytest.raises(DataError, match=f"at least 4 images; received {n}"):
            project(rows, method, seed)


def test_features_that_are_none_are_refused(method: str, features: Array) -> None:
    spoilt = features.copy()
    spoilt[[5, 9], 3] = np.nan, np.inf
    with pytest.raises(DataError, match="2 of 120 rows of the features are not finite, the first is row 5"):
        project(spoilt, method, 0)
    with pytest.raises(DataError, match="row 0"):
        project(np.full((9, 2), 1e300), method, 0)
    for wrong in (features[0], features[:0], features[:, :0], features.reshape(120, 8, 8), features.astype(str)):
        with pytest.raises(DataError, match="numbers of shape"):
            project(wrong, method, 0)
