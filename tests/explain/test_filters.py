"""Filters: the weights of the first layer that has them, as images."""

from __future__ import annotations

import numpy as np
from tests.explain.nets import images, made, net

from firstlight.explain import first_filters
from firstlight.layers import Chain, Dense, Flatten


def test_the_filters_of_the_first_layer() -> None:
    subject = net("conv")
    found = first_filters(subject)
    assert found is not None
    tree = subject.task.model.layout.tree(subject.session.vector())
    np.testing.assert_allclose(found.weights, tree["conv1"]["W"], rtol=1e-6)
    found = first_filters(net("dense"))
    assert found is not None
    assert (found.layer, found.weights.shape) == ("dense1", (7, 3, 10, 8))
    found = first_filters(net("concat"))
    assert found is not None
    assert found.layer == "concat1.chain2.conv1"


def test_a_dense_row_lies_on_the_pixels_that_it_weighs() -> None:
    given = images()
    row = np.zeros((3, 240))
    weights = {"dense1.W": row, "dense1.b": np.zeros(3)}
    row[1, 2 * 80 + 4 * 8 + 5] = 1  # channel 2, row 4, column 5
    subject = made(Chain((Flatten(), Dense(3))), given, weights=weights)
    found = first_filters(subject)
    assert found is not None
    assert np.argwhere(found.weights).tolist() == [[1, 2, 4, 5]]
    x = subject.prepared(given.pixels)
    np.testing.assert_allclose(subject.outputs(x)[:, 1], x[:, 2, 4, 5], rtol=1e-12)
