"""From labels and probabilities to honest numbers. Needs NumPy alone: no engine, no model, no images."""

from firstlight.evaluation.calibration import ReliabilityBin, calibration_error, reliability_bins
from firstlight.evaluation.measures import (
    Evaluation,
    confusion_matrix,
    measure,
    most_confident_mistakes,
    top_k_accuracy,
)
from firstlight.evaluation.scores import Averages, ClassScore, class_scores, wilson_interval

__all__ = [
    "Averages",
    "ClassScore",
    "Evaluation",
    "ReliabilityBin",
    "calibration_error",
    "class_scores",
    "confusion_matrix",
    "measure",
    "most_confident_mistakes",
    "reliability_bins",
    "top_k_accuracy",
    "wilson_interval",
]
