"""Images with their features: drawn by the seed, found again by id, and of wide maps the means."""

from __future__ import annotations

import numpy as np
import pytest
from tests.explain.nets import images, net, one_logit

from firstlight.explain import ExplainedRun, extract_features
from firstlight.explain.examine import unit_name
from firstlight.types import Images


def subject(seed: int = 0) -> ExplainedRun:
    return ExplainedRun(net("conv"), {"train": images(9, seed=1), "test": images(5)}, {}, seed)


def test_images_are_drawn_by_the_seed_in_their_order() -> None:
    drawn = subject(3).drawn("train", 4)
    assert drawn.tolist() == sorted(set(drawn.tolist()))
    assert len(drawn) == 4
    assert drawn.tolist() == subject(3).drawn("train", 4).tolist()
    assert any(drawn.tolist() != subject(seed).drawn("train", 4).tolist() for seed in range(4))
    assert subject().drawn("test", 99).tolist() == [0, 1, 2, 3, 4]


def test_images_are_found_by_split_and_id() -> None:
    found = subject().images(["test", "train", "test"], ["test/3", "test/3", "test/0"])
    assert found.ids.tolist() == ["test/3", "test/3", "test/0"]
    np.testing.assert_array_equal(found.pixels[1], images(9, seed=1).pixels[3])
    np.testing.assert_array_equal(found.pixels[2], images(5).pixels[0])


def test_features_are_the_layers_values_and_of_wide_maps_the_means(monkeypatch: pytest.MonkeyPatch) -> None:
    given, subject_net, told = images(5), net("conv"), []
    values = subject_net.session.trace(subject_net.prepared(given.pixels)).values["conv1"]
    monkeypatch.setattr("firstlight.explain.net.MOST", 2)
    found = extract_features(subject_net, given, "conv1", "what", lambda *heard: told.append(heard))
    np.testing.assert_allclose(found.features, values.reshape(5, -1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-6)
    assert told == [("what", 2, 5), ("what", 4, 5), ("what", 5, 5)]
    monkeypatch.setattr("firstlight.explain.explained_run.WIDEST", 100)
    narrow = extract_features(subject_net, given, "conv1", "what", lambda *heard: None)
    np.testing.assert_allclose(narrow.features, values.mean(axis=(2, 3)), rtol=1e-5, atol=1e-6)


def test_units_are_called_after_their_class_or_their_place() -> None:
    assert unit_name(net("conv"), "dense1", 2, ("a", "b", "c")) == "c"
    assert unit_name(net("conv"), "conv2", 2, ("a", "b", "c")) == "conv2, channel 2"
    assert unit_name(net("dense"), "dense1", 0, ("a", "b", "c")) == "dense1, feature 0"
    pixels = images(2).pixels
    single = one_logit(Images(pixels, np.array([0, 1]), np.array(["x", "y"]), ("no", "yes")))
    assert unit_name(single, "dense1", 0, ("no", "yes")) == "yes"
