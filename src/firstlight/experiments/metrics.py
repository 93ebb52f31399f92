"""Whether the metrics that an experiment names can be measured on its images: tried before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from firstlight.errors import ExperimentError, MetricError
from firstlight.evaluation import METRICS
from firstlight.types import Images

FEW = 10  # images that an interval is tried on, which resamples them many times


def must_be_measurable(names: Sequence[str], splits: Mapping[str, Images]) -> None:
    """Raise ExperimentError where a metric fails, or returns no number, on the labels and drawn probabilities.

    It may be undefined, as it may be for another answer.
    """
    for split in ("validation", "test"):
        if names and split in splits:
            labels, draw = splits[split].labels, np.random.default_rng(0)
            drawn = draw.dirichlet(np.ones(len(splits[split].class_names)), len(labels)).astype(np.float32)
            for name in names:
                try:
                    METRICS[name].value(labels, drawn)
                    METRICS[name].interval(labels[:FEW], drawn[:FEW])
                except MetricError as error:
                    raise ExperimentError(
                        f"training.metrics: {name} cannot be computed. On the labels of the {split} images and random "
                        f"probabilities, {error}.",
                        key="training.metrics",
                    ) from None
