"""Activation maximization: the unit gives more for what was found than for any image, the same on both engines."""

from __future__ import annotations

import numpy as np
import pytest
from tests.explain.nets import images, made, net, one_logit

from firstlight.explain import activation_maximization, maximize_activations
from firstlight.explain.activation_maximization import STEPS, answers, unit_name
from firstlight.layers import Chain, Conv2D, Dense, Flatten, ReLU
from firstlight.types import Images

UNITS = [("dense1", 0), ("dense1", 2), ("conv1", 1)]


@pytest.mark.parametrize("standardise", ["channel", "image"])
def test_the_engines_find_the_same(standardise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation_maximization, "STEPS", 24)
    ours, theirs = (
        maximize_activations(net("residual", engine, standardise), UNITS, 3) for engine in ("numpy", "torch")
    )
    assert np.abs(ours[0].astype(int) - theirs[0].astype(int)).max() <= 1
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-2)


def test_a_unit_answers_more_strongly_than_to_any_image(monkeypatch: pytest.MonkeyPatch) -> None:
    subject, given = net("residual"), images(60)
    told = []
    monkeypatch.setattr("firstlight.explain.net.MOST", 2)  # in two groups
    pixels, values = maximize_activations(subject, UNITS, 0, lambda done, total: told.append((done, total)))
    assert told == [(i + 1, 2 * STEPS) for i in range(2 * STEPS)]
    assert (pixels.dtype, pixels.shape) == (np.uint8, (3, 10, 8, 3))
    held = subject.session.trace(subject.prepared(given.pixels)).values
    for (path, unit), value in zip(UNITS, values, strict=True):
        typical = held[path][:, unit].reshape(len(given), -1).mean(axis=1).max()
        assert value > typical, (path, unit)
    np.testing.assert_allclose(values, answers(subject, pixels, UNITS))


def test_the_same_seed_gives_the_same_image_and_groups_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation_maximization, "STEPS", 24)
    whole, _ = maximize_activations(net("conv"), UNITS, 5)
    monkeypatch.setattr("firstlight.explain.net.MOST", 1)
    apart, _ = maximize_activations(net("conv"), UNITS, 5)
    assert np.abs(whole.astype(int) - apart.astype(int)).max() <= 1
    other, _ = maximize_activations(net("conv"), UNITS, 6)
    assert np.abs(whole.astype(int) - other.astype(int)).max() > 10


def test_a_unit_that_reads_one_half_turns_that_half_white_and_not_the_other() -> None:
    given = images(4, (12, 12, 1))
    row = np.zeros((3, 144))
    row[1].reshape(12, 12)[:, :6] = 1
    subject = made(Chain((Flatten(), Dense(3))), given, weights={"dense1.W": row, "dense1.b": np.zeros(3)})
    [image], _ = maximize_activations(subject, [("dense1", 1)])
    assert image[:, 2:4].min() > 240
    assert image[:, 8:11].max() < 200  # what blurring and shifting carried over


def test_a_unit_that_nothing_reaches_stays_within_the_pixels() -> None:
    given = images(4, (8, 8, 1))
    weights = {
        "conv1.W": np.zeros((2, 1, 3, 3)),
        "conv1.b": np.full(2, -1.0),
        "dense1.W": np.ones((3, 72)),
        "dense1.b": np.zeros(3),
    }
    subject = made(Chain((Conv2D(2), ReLU(), Flatten(), Dense(3))), given, weights=weights)
    pixels, values = maximize_activations(subject, [("dense1", 0)])
    assert values.tolist() == [0.0]
    assert pixels.std() > 1


def test_units_are_called_after_their_class_or_their_place() -> None:
    assert unit_name(net("conv"), "dense1", 2, ("a", "b", "c")) == "c"
    assert unit_name(net("conv"), "conv2", 2, ("a", "b", "c")) == "conv2, channel 2"
    assert unit_name(net("dense"), "dense1", 0, ("a", "b", "c")) == "dense1, feature 0"
    pixels = images(2).pixels
    single = one_logit(Images(pixels, np.array([0, 1]), np.array(["x", "y"]), ("no", "yes")))
    assert unit_name(single, "dense1", 0, ("no", "yes")) == "yes"
