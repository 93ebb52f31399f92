"""Calibration: the caption tells boldness."""

from __future__ import annotations

import numpy as np

from firstlight.evaluation import Evaluation, measure
from firstlight.report.sections.calibration import caption
from firstlight.types import Predictions


def sure(right: int, wrong: int) -> Evaluation:
    """An evaluation of answers that are all given with certainty."""
    labels = np.zeros(right + wrong, np.int64)
    predicted = np.array([0] * right + [1] * wrong)
    return measure(
        Predictions(np.arange(len(labels)).astype(str), labels, np.eye(2, dtype=np.float32)[predicted]), "ab", 1.0
    )


def test_the_caption_tells_boldness() -> None:
    assert "overconfident" in caption(sure(7, 3))
    assert "well calibrated on average" in caption(sure(7, 0))
