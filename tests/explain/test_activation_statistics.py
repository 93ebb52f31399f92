"""What layers give: the statistics are those of the values, on both engines; what is dead or flat is found."""

from __future__ import annotations

import numpy as np
import pytest
from tests.explain.nets import NETS, images, made, net

from firstlight.errors import RunError
from firstlight.explain import compute_feature_maps
from firstlight.explain.activation_statistics import ActivationGradient
from firstlight.explain.activation_statistics import compute_activation_statistics as statistics
from firstlight.layers import (
    ELU,
    GELU,
    LAYERS,
    SELU,
    Activation,
    Chain,
    Conv2D,
    Dense,
    Flatten,
    Layer,
    LeakyReLU,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from firstlight.losses import MeanSquaredError
from firstlight.types import Images


@pytest.mark.parametrize("name", NETS)
def test_the_engines_see_the_same(name: str) -> None:
    given = images(7).pixels
    ours, theirs = (
        statistics(net(name), given),
        statistics(net(name, "torch"), given),
    )
    for a, b in zip(ours.layers, theirs.layers, strict=True):
        assert (a.layer, a.type, a.shape, a.units, a.dead) == (b.layer, b.type, b.shape, b.units, b.dead)
        for field in ("mean", "std", "low", "high", "zero"):
            assert getattr(a, field) == pytest.approx(getattr(b, field), rel=1e-9, abs=1e-12), (a.layer, field)
        assert a.saturated_units == b.saturated_units
        assert a.saturated == pytest.approx(b.saturated) if a.saturated is not None else b.saturated is None
        np.testing.assert_allclose(ours.peaks[a.layer], theirs.peaks[a.layer], rtol=1e-9, atol=1e-12)
    both = (compute_feature_maps(net(name), given[0]), compute_feature_maps(net(name, "torch"), given[0]))
    for here, there in zip(*both, strict=True):
        np.testing.assert_allclose(here.maps, there.maps, rtol=1e-6, atol=1e-7)


def test_chunks_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    given, subject = images(7).pixels, net("conv")
    told = []
    monkeypatch.setattr("firstlight.explain.net.MOST", 3)
    found = statistics(subject, given, lambda done, total: told.append((done, total)))
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
    assert [layer.layer for layer in statistics(net("conv"), images().pixels).layers] == [
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
    by_layer = {layer.layer: layer for layer in statistics(made(layers, given, weights=weights), given.pixels).layers}
    assert by_layer["conv1"].dead == by_layer["relu1"].dead == (0, 1)  # a constant that is not zero says nothing either
    assert by_layer["dense1"].dead == ()
    assert by_layer["relu1"].zero == pytest.approx(2 / 3)
    assert by_layer["relu1"].saturated == pytest.approx(2 / 3)
    alone = statistics(made(layers, given, weights=weights), given.pixels[:1]).layers
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
def test_saturated_is_where_the_gradient_is_below_a_hundredth_of_its_largest(
    layer: Layer, flat: list[float], steep: list[float]
) -> None:
    gradient = ActivationGradient(layer)
    for dtype in (np.float32, np.float64):
        assert gradient.saturated(np.array([flat], dtype)).tolist() == [1] * len(flat)
        assert gradient.saturated(np.array([steep], dtype)).tolist() == [0] * len(steep)


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
    dense, tanh, head = statistics(subject, given.pixels).layers
    assert (dense.saturated_units, head.saturated_units) == (None, None)
    assert tanh.saturated == pytest.approx((18 + 19 + 20) / 80)
    assert tanh.saturated_units == (1, 2)


def test_a_softmax_is_flat_where_one_class_takes_all() -> None:
    layers = Chain((Flatten(), Dense(3), Softmax()))
    given = images(4)
    sure = {"dense1.W": np.zeros((3, 240)), "dense1.b": np.array([20.0, 0.0, 0.0])}
    unsure = {"dense1.W": np.zeros((3, 240)), "dense1.b": np.zeros(3)}
    shares = [
        statistics(made(layers, given, weights=weights, loss=MeanSquaredError()), given.pixels).layers[-1].saturated
        for weights in (sure, unsure)
    ]
    assert shares == [1.0, 0.0]


def test_values_that_are_not_finite_are_told() -> None:
    given = images(3)
    subject = made(Chain((Flatten(), Dense(3))), given)
    subject.session.restore(np.full_like(subject.session.vector(), np.inf))  # as no file of weights may be
    with pytest.raises(RunError, match="dense1 gives values that are not finite"):
        statistics(subject, given.pixels)


@pytest.mark.parametrize("kind", [kind for kind in LAYERS.values() if issubclass(kind, Activation) and kind != Softmax])
def test_an_activation_says_whether_it_is_flat_at_both_ends(kind: type[Activation]) -> None:
    assert ActivationGradient(kind()).saturated(np.array([[-50.0, 50.0]])).all() == kind.flat_at_both_ends
    example = Chain((Conv2D(2), kind(), Flatten(), Dense(3)))
    given = images(2)
    found = {layer.type: layer for layer in statistics(made(example, given), given.pixels).layers}
    assert found[kind.__name__].may_be_stuck == kind.flat_at_both_ends
    assert not found["Conv2D"].may_be_stuck
