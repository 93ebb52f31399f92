"""What layers give: the statistics are those of the values, on both engines; what is dead or flat is found."""

from __future__ import annotations

import numpy as np
import pytest
from tests.explain.nets import NETS, images, made, net

from firstlight.errors import ModelError, RunError
from firstlight.explain import activation_statistics, compute_feature_maps, filters
from firstlight.layers import ELU, GELU, SELU, Chain, Conv2D, Dense, Flatten, LeakyReLU, ReLU, Sigmoid, Softmax, Tanh
from firstlight.losses import MeanSquaredError
from firstlight.types import Images


@pytest.mark.parametrize("name", NETS)
def test_the_engines_see_the_same(name: str) -> None:
    given = images(7).pixels
    ours, theirs = activation_statistics(net(name), given), activation_statistics(net(name, "torch"), given)
    for a, b in zip(ours.layers, theirs.layers, strict=True):
        assert (a.layer, a.type, a.shape, a.units, a.dead) == (b.layer, b.type, b.shape, b.units, b.dead)
        for field in ("mean", "std", "low", "high", "zero"):
            assert getattr(a, field) == pytest.approx(getattr(b, field), rel=1e-9, abs=1e-12), (a.layer, field)
        assert a.saturated_units == b.saturated_units
        assert a.saturated == pytest.approx(b.saturated) if a.saturated is not None else b.saturated is None
        np.testing.assert_allclose(ours.peaks[a.layer], theirs.peaks[a.layer], rtol=1e-9, atol=1e-12)
    for a, b in zip(
        compute_feature_maps(net(name), given[0]), compute_feature_maps(net(name, "torch"), given[0]), strict=True
    ):
        np.testing.assert_allclose(a.maps, b.maps, rtol=1e-6, atol=1e-7)


def test_chunks_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    given, subject = images(7).pixels, net("conv")
    told = []
    monkeypatch.setattr("firstlight.explain.net.MOST", 3)
    found = activation_statistics(subject, given, lambda done, total: told.append((done, total)))
    assert told == [(3, 7), (6, 7), (7, 7)]
    values = subject.session.trace(subject.prepared(given)).values
    for layer in found.layers:
        held = values[layer.layer]
        assert layer.mean == pytest.approx(held.mean(), rel=1e-9, abs=1e-12)
        assert layer.std == pytest.approx(held.std(), rel=1e-9)
        assert (layer.low, layer.high) == pytest.approx((held.min(), held.max()), rel=1e-12)
        assert layer.zero == pytest.approx((held == 0).mean())
        per_image = held.reshape(len(held), held.shape[1], -1).mean(axis=2)
        np.testing.assert_allclose(found.peaks[layer.layer], per_image.max(axis=0), rtol=1e-9)


def test_layers_that_only_hand_on_are_left_out_and_the_loss_keeps_its_softmax() -> None:
    assert [layer.layer for layer in activation_statistics(net("conv"), images().pixels).layers] == [
        "conv1", "tanh1", "maxpool1", "conv2", "relu1", "dense1",
    ]  # fmt: skip
    shown = [maps.layer for maps in compute_feature_maps(net("residual"), images().pixels[0])]
    assert shown[:7] == [
        "conv1",
        *(f"block.body.{name}" for name in ("conv1", "batchnorm1", "tanh1", "conv2")),
        "block",
        "relu1",
    ]


def test_dead_units_are_found() -> None:
    given = images(6)
    weights = {
        "conv1.W": np.zeros((3, 3, 1, 1)),
        "conv1.b": np.array([-1.0, 0.0, 0.5]),
        "dense1.W": np.ones((3, 3 * 80)),
        "dense1.b": np.zeros(3),
    }
    weights["conv1.W"][2] = 1
    layers = Chain((Conv2D(3, 1), ReLU(), Flatten(), Dense(3)))
    by_layer = {
        layer.layer: layer for layer in activation_statistics(made(layers, given, weights=weights), given.pixels).layers
    }
    assert by_layer["conv1"].dead == by_layer["relu1"].dead == (0, 1)  # a constant that is not zero says nothing either
    assert by_layer["dense1"].dead == ()
    assert by_layer["relu1"].zero == pytest.approx(2 / 3)
    assert by_layer["relu1"].saturated == pytest.approx(2 / 3)
    alone = activation_statistics(made(layers, given, weights=weights), given.pixels[:1]).layers
    assert all(layer.dead == () for layer in alone)  # one image cannot tell


@pytest.mark.parametrize(
    ("layer", "flat", "steep"),
    [
        (Sigmoid(), [-7.0, 7.0], [-5.9, 0.0, 5.9]),
        (Tanh(), [-3.1, 3.1], [-2.9, 0.0, 2.9]),
        (ReLU(), [-0.1, -5.0], [0.1, 5.0]),
        (LeakyReLU(0.01), [], [-5.0, 5.0]),
        (LeakyReLU(0.001), [-5.0], [5.0]),
        (ELU(), [-5.0], [-4.0, 4.0]),
        (SELU(), [-5.0], [-4.0, 4.0]),
        (GELU(), [-5.0, -4.0], [-3.0, -1.5, -0.8, 0.0, 4.0]),  # between −0.75 and −∞ it falls
    ],
)
def test_saturated_is_where_the_slope_is_below_a_hundredth(
    layer: object, flat: list[float], steep: list[float]
) -> None:
    from firstlight.explain.feature_maps import _Bend

    bend = _Bend(layer)  # type: ignore[arg-type]
    for dtype in (np.float32, np.float64):
        assert bend.flat(np.array([flat], dtype)).tolist() == [1] * len(flat)
        assert bend.flat(np.array([steep], dtype)).tolist() == [0] * len(steep)


def test_units_are_saturated_that_are_so_for_95_of_100_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstlight.explain.net.MOST", 7)
    pixels = np.zeros((20, 1, 1, 1), np.uint8)
    pixels[:2] = [[[[255]]], [[[128]]]]  # once in 20 a pixel is 1, and once about a half
    given = Images(pixels, np.arange(20) % 3, np.arange(20).astype(str), ("a", "b", "c"))
    weights = {  # of the units of tanh, the first is flat for 18 of 20 images, the second for 19, the third for all
        "dense1.W": np.array([[-5.0], [-9.0], [0.0], [1.0]]),
        "dense1.b": np.array([5.0, 5.0, -5.0, 0.0]),
        "dense2.W": np.ones((3, 4)),
        "dense2.b": np.zeros(3),
    }
    subject = made(Chain((Flatten(), Dense(4), Tanh(), Dense(3))), given, weights=weights)
    dense, tanh, head = activation_statistics(subject, given.pixels).layers
    assert (dense.saturated_units, head.saturated_units) == (None, None)
    assert tanh.saturated == pytest.approx((18 + 19 + 20) / 80)
    assert tanh.saturated_units == (1, 2)


def test_a_softmax_is_flat_where_one_class_takes_all() -> None:
    layers = Chain((Flatten(), Dense(3), Softmax()))
    given = images(4)
    sure = {"dense1.W": np.zeros((3, 240)), "dense1.b": np.array([20.0, 0.0, 0.0])}
    unsure = {"dense1.W": np.zeros((3, 240)), "dense1.b": np.zeros(3)}
    shares = [
        activation_statistics(made(layers, given, weights=weights, loss=MeanSquaredError()), given.pixels)
        .layers[-1]
        .saturated
        for weights in (sure, unsure)
    ]
    assert shares == [1.0, 0.0]


def test_values_that_are_not_finite_are_told() -> None:
    given = images(3)
    subject = made(Chain((Flatten(), Dense(3))), given)
    subject.session.restore(np.full_like(subject.session.vector(), np.inf))  # as no file of weights may be
    with pytest.raises(RunError, match="dense1 gives values that are not finite"):
        activation_statistics(subject, given.pixels)


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


def test_the_filters_of_the_first_layer() -> None:
    subject = net("conv")
    found = filters(subject)
    assert found is not None
    tree = subject.task.model.layout.tree(subject.session.vector())
    np.testing.assert_allclose(found.weights, tree["conv1"]["W"], rtol=1e-6)
    found = filters(net("dense"))
    assert found is not None
    assert (found.layer, found.weights.shape) == ("dense1", (7, 3, 10, 8))
    found = filters(net("concat"))
    assert found is not None
    assert found.layer == "concat1.chain2.conv1"


def test_a_dense_row_lies_on_the_pixels_that_it_weighs() -> None:
    given = images()
    row = np.zeros((3, 240))
    weights = {"dense1.W": row, "dense1.b": np.zeros(3)}
    row[1, 2 * 80 + 4 * 8 + 5] = 1  # channel 2, row 4, column 5
    subject = made(Chain((Flatten(), Dense(3))), given, weights=weights)
    found = filters(subject)
    assert found is not None
    assert np.argwhere(found.weights).tolist() == [[1, 2, 4, 5]]
    x = subject.prepared(given.pixels)
    np.testing.assert_allclose(subject.outputs(x)[:, 1], x[:, 2, 4, 5], rtol=1e-12)


def test_the_last_hidden_layer_and_a_layer_that_is_not_there() -> None:
    assert {name: net(name).hidden for name in NETS} == {
        "conv": "relu1", "residual": "avgpool1", "concat": "sigmoid1", "dense": "tanh1",
    }  # fmt: skip
    assert made(Chain((Flatten(), Dense(3))), images()).hidden == "dense1"
    with pytest.raises(ModelError, match=r"conv9.*Did you mean conv"):
        net("conv").place("conv9")


def test_a_layer_that_hands_on_stands_for_the_one_before_it() -> None:
    """As Flatten does for what it flattens: asked for by name, its values are those."""
    subject = net("conv")
    assert "flatten1" in subject.places
    assert "flatten1" not in subject.shown
    assert subject.place("flatten1") == subject.place("relu1")
    with pytest.raises(ModelError, match="flatten1"):
        made(Chain((Flatten(), Dense(3))), images()).place("flatten1")  # it hands on the image itself


def test_as_many_maps_of_a_layer_as_are_asked_for() -> None:
    pixels = images().pixels[0]
    subject = made(Chain((Conv2D(70, 3), ReLU(), Flatten(), Dense(3))), images())
    usual, few, whole = (compute_feature_maps(subject, pixels, *most)[0] for most in ((), (2,), (None,)))
    assert [len(found.maps) for found in (usual, few, whole)] == [64, 2, 70]
    assert {found.units for found in (usual, few, whole)} == {70}
    np.testing.assert_array_equal(whole.maps[:64], usual.maps)
