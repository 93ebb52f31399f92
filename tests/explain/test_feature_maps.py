"""Feature maps of one image: the values that the layers give for it."""

from __future__ import annotations

import numpy as np
import pytest
from tests.explain.nets import images, made, net

from firstlight.explain import compute_feature_maps
from firstlight.layers import Chain, Conv2D, Dense, Flatten, ReLU


def test_feature_maps_are_the_values_of_the_image() -> None:
    subject, given = net("conv"), images()
    values = subject.session.trace(subject.prepared(given.pixels)).values
    by_layer = {maps.layer: maps for maps in compute_feature_maps(subject, given.pixels[2])}
    np.testing.assert_allclose(by_layer["conv1"].maps, values["conv1"][2], rtol=1e-6)
    np.testing.assert_allclose(by_layer["dense1"].maps[0, 0], values["dense1"][2], rtol=1e-6)
    assert by_layer["dense1"].maps.shape == (1, 1, 3)
    assert by_layer["maxpool1"].maps.dtype == np.float32
    assert {name for name, maps in by_layer.items() if not maps.has_maps} == {"dense1"}


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_maps_of_one_row_are_maps(channels: int) -> None:
    given = images(2, (3, 6, 1))
    conv, dense = compute_feature_maps(made(Chain((Conv2D(channels), Flatten(), Dense(3))), given), given.pixels[0])
    assert (conv.maps.shape, conv.has_maps) == ((channels, 1, 4), True)
    assert (dense.maps.shape, dense.has_maps) == ((1, 1, 3), False)


def test_as_many_maps_of_a_layer_as_are_asked_for() -> None:
    pixels = images().pixels[0]
    subject = made(Chain((Conv2D(70, 3), ReLU(), Flatten(), Dense(3))), images())
    usual, few, whole = (compute_feature_maps(subject, pixels, *most)[0] for most in ((), (2,), (None,)))
    assert [len(found.maps) for found in (usual, few, whole)] == [64, 2, 70]
    assert {found.units for found in (usual, few, whole)} == {70}
    np.testing.assert_array_equal(whole.maps[:64], usual.maps)
