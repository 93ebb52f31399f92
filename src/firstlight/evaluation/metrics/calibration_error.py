"""The expected calibration error."""

from firstlight.evaluation.calibration import calibration_error as over_bins
from firstlight.evaluation.calibration import reliability_bins
from firstlight.evaluation.metrics.base import METRICS
from firstlight.types import Array, Predictions


@METRICS.register(higher_is_better=False)
def calibration_error(labels: Array, probabilities: Array) -> float:
    """The gap between confidence and accuracy, averaged over 15 bins of confidence by their images.

    Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", 2017, equation 3.
    """
    return over_bins(reliability_bins(Predictions(labels, labels, probabilities)))
