"""Reliability bins and the expected calibration error."""

from __future__ import annotations

import numpy as np
import pytest

from firstlight.evaluation import calibration_error, reliability_bins
from firstlight.types import Predictions


def answers(confidence: list[float], correct: list[bool]) -> Predictions:
    """Two-class predictions with the given confidences."""
    sure = np.array(confidence, dtype=np.float64)
    labels = np.where(correct, 0, 1)
    return Predictions(np.arange(len(sure)).astype(str), labels, np.stack([sure, 1 - sure], axis=1))


def test_error_by_hand() -> None:
    bins = reliability_bins(answers([0.95, 0.95, 0.95, 0.65], [True, True, False, False]), bins=10)
    assert [b.images for b in bins] == [0, 0, 0, 0, 0, 0, 1, 0, 0, 3]
    assert bins[9].accuracy == pytest.approx(2 / 3)
    assert bins[9].confidence == pytest.approx(0.95)
    assert bins[0].accuracy is bins[0].confidence is None
    assert calibration_error(bins) == pytest.approx(0.75 * (0.95 - 2 / 3) + 0.25 * 0.65)


def test_a_bin_holds_its_upper_edge() -> None:
    bins = reliability_bins(answers([0.6, 0.8, 1.0], [True, True, True]), bins=5)
    assert [b.images for b in bins] == [0, 0, 1, 1, 1]
    assert (bins[4].low, bins[4].high) == (0.8, 1.0)


def test_an_honest_model_has_a_small_error_and_a_boaster_a_large_one() -> None:
    draw = np.random.default_rng(0)
    sure = draw.uniform(0.5, 1.0, 20_000)
    honest = draw.uniform(size=len(sure)) < sure
    assert calibration_error(reliability_bins(answers(list(sure), list(honest)))) < 0.02
    boaster = answers([0.99] * 100, [True] * 50 + [False] * 50)
    assert calibration_error(reliability_bins(boaster)) == pytest.approx(0.49)
