"""Whether a model's confidence can be believed: of all answers given with 80 %, are 80 % right?

Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from firstlight.types import Json, Predictions

BINS = 15


@dataclass(frozen=True)
class ReliabilityBin:
    """The predictions whose confidence lies in (low, high].

    confidence and accuracy are means over the bin; both are None where the bin is empty.
    """

    low: float
    high: float
    images: int
    confidence: float | None
    accuracy: float | None

    def to_json(self) -> Json:
        return asdict(self)


def reliability_bins(predictions: Predictions, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Sort the predictions by confidence into `bins` bins of equal width that cover [0, 1]."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    confidence = predictions.confidence.astype(np.float64)
    index = np.digitize(confidence, edges[1:-1], right=True)
    images = np.bincount(index, minlength=bins)
    confidence_sum = np.bincount(index, weights=confidence, minlength=bins)
    correct_sum = np.bincount(index, weights=predictions.correct, minlength=bins)
    return tuple(
        ReliabilityBin(
            low=float(edges[b]),
            high=float(edges[b + 1]),
            images=int(images[b]),
            confidence=float(confidence_sum[b] / images[b]) if images[b] else None,
            accuracy=float(correct_sum[b] / images[b]) if images[b] else None,
        )
        for b in range(bins)
    )


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """The expected calibration error: the gap between accuracy and confidence, averaged over the predictions."""
    total = sum(b.images for b in bins)
    gaps = (
        b.images * abs(b.accuracy - b.confidence) for b in bins if b.accuracy is not None and b.confidence is not None
    )
    return sum(gaps) / total
