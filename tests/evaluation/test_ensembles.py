"""The mean of the probabilities of nets, and its negative log-likelihood."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.errors import DataError
from firstlight.evaluation import averaged, mean_probabilities, negative_log_likelihood
from firstlight.types import Predictions


def rows(seed: int, n: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(4), n).astype(np.float32)


def predictions(seed: int) -> Predictions:
    return Predictions(np.array(list("abcdefgh")), np.arange(8) % 4, rows(seed))


@given(st.lists(st.integers(0, 99), min_size=1, max_size=6), st.randoms())
def test_the_mean_does_not_depend_on_the_order(seeds, shuffling):
    nets = [rows(seed) for seed in seeds]
    found = mean_probabilities(nets)
    np.testing.assert_allclose(found, np.mean(nets, axis=0, dtype=np.float64), atol=1e-7)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    shuffling.shuffle(nets)
    np.testing.assert_allclose(mean_probabilities(nets), found, atol=1e-7)


def test_of_one_net_nothing_changes():
    alone = rows(1)
    assert mean_probabilities([alone]) is alone


def test_images_are_found_by_their_ids():
    first, second = predictions(0), predictions(1)
    turned = np.random.default_rng(2).permutation(8)
    other = Predictions(second.ids[turned], second.labels[turned], second.probabilities[turned])
    found = averaged([first, other])
    np.testing.assert_array_equal(found.ids, first.ids)
    np.testing.assert_array_equal(found.probabilities, averaged([first, second]).probabilities)


@pytest.mark.parametrize("changed", ["ids", "labels"])
def test_other_images_are_refused(changed):
    first, second = predictions(0), predictions(1)
    arrays = {name: getattr(second, name).copy() for name in ("ids", "labels", "probabilities")}
    arrays[changed][3] = arrays[changed][0]
    with pytest.raises(DataError, match="all of its nets answered"):
        averaged([first, Predictions(**arrays)])


def test_the_likelihood_of_what_was_ruled_out_is_finite():
    p = np.array([[0.25, 0.75], [1, 0]], np.float32)
    assert negative_log_likelihood(p, np.array([1, 0])) == pytest.approx(-math.log(0.75) / 2)
    assert 40 < negative_log_likelihood(p, np.array([1, 1])) < 50
