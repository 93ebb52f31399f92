"""Features of images: a layer's values, and of wide maps the means."""

from __future__ import annotations

import numpy as np
import pytest
from tests.explain.nets import images, net

from firstlight.explain import extract_features


def test_features_are_the_layers_values_and_of_wide_maps_the_means(monkeypatch: pytest.MonkeyPatch) -> None:
    given, subject_net, told = images(5), net("conv"), []
    values = subject_net.session.trace(subject_net.prepared(given.pixels)).values["conv1"]
    monkeypatch.setattr("firstlight.explain.net.MOST", 2)
    found = extract_features(subject_net, given, "conv1", "what", lambda *heard: told.append(heard))
    np.testing.assert_allclose(found.features, values.reshape(5, -1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-6)
    assert told == [("what", 2, 5), ("what", 4, 5), ("what", 5, 5)]
    monkeypatch.setattr("firstlight.explain.features.WIDEST", 100)
    narrow = extract_features(subject_net, given, "conv1", "what", lambda *heard: None)
    np.testing.assert_allclose(narrow.features, values.mean(axis=(2, 3)), rtol=1e-5, atol=1e-6)
