"""What the loss of an image counts, by its class."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from firstlight.errors import ExperimentError
from firstlight.prepare import class_weights
from firstlight.types import Images

NAMES = ("cat", "dog", "bird")


def images(labels):
    n = len(labels)
    return Images(np.zeros((n, 1, 1, 1), np.uint8), np.array(labels), np.arange(n).astype(str), NAMES)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=60))
def test_balanced_weights_are_those_of_scikit_learn(labels):
    weights = class_weights("balanced", images(labels))
    assert weights is not None
    there = np.unique(labels)
    np.testing.assert_allclose(weights[there], compute_class_weight("balanced", classes=there, y=np.array(labels)))
    assert weights[labels].mean() == pytest.approx(1), "the images weigh 1 on average"
    assert (weights[np.setdiff1d(range(3), there)] == 1).all()


def test_a_table_names_some_of_the_classes():
    weights = class_weights({"bird": 2.5}, images([0, 1, 2]))
    assert weights is not None
    assert weights.tolist() == [1, 1, 2.5]
    assert class_weights({}, images([0, 1, 2])) is None


def test_a_class_that_is_not_there_is_named():
    with pytest.raises(ExperimentError, match=r"loss\.class_weights: there is no class 'brid'\. Did you mean bird\?"):
        class_weights({"brid": 2.0}, images([0, 1, 2]))
