"""From labels and probabilities to honest numbers. Needs NumPy alone: no engine, no model, no images."""

from firstlight.evaluation.calibration import ReliabilityBin, calibration_error, reliability_bins
from firstlight.evaluation.ensembles import averaged, mean_probabilities, negative_log_likelihood
from firstlight.evaluation.measures import (
    Evaluation,
    confused_pairs,
    measure,
    most_confident_mistakes,
    most_missed_class,
    top_k_accuracy,
)
from firstlight.evaluation.metrics import METRICS, Metric, MetricScore
from firstlight.evaluation.scores import Averages, ClassScore, class_scores, confusion_matrix, wilson_interval
from firstlight.evaluation.significance import (
    LEVEL,
    CorrectedT,
    McNemar,
    PairedT,
    SignFlip,
    Spread,
    bootstrap_interval,
    corrected_t,
    holm,
    mcnemar,
    paired_t,
    same_images,
    sign_flip,
    spread,
)

__all__ = [
    "LEVEL",
    "METRICS",
    "Averages",
    "ClassScore",
    "CorrectedT",
    "Evaluation",
    "McNemar",
    "Metric",
    "MetricScore",
    "PairedT",
    "ReliabilityBin",
    "SignFlip",
    "Spread",
    "averaged",
    "bootstrap_interval",
    "calibration_error",
    "class_scores",
    "confused_pairs",
    "confusion_matrix",
    "corrected_t",
    "holm",
    "mcnemar",
    "mean_probabilities",
    "measure",
    "most_confident_mistakes",
    "most_missed_class",
    "negative_log_likelihood",
    "paired_t",
    "reliability_bins",
    "same_images",
    "sign_flip",
    "spread",
    "top_k_accuracy",
    "wilson_interval",
]
