"""Metrics, one file each: numbers that say how good predictions are, of labels and probabilities."""

from firstlight.components import import_modules
from firstlight.evaluation.metrics.base import (
    METRICS,
    Metric,
    MetricScore,
    higher_is_better,
    in_words,
    is_percent,
    scores,
)

import_modules(__name__, __path__)

__all__ = ["METRICS", "Metric", "MetricScore", "higher_is_better", "in_words", "is_percent", "scores"]
