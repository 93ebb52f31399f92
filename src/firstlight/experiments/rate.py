"""The learning-rate range test of an experiment: a training of which nothing is kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from firstlight import training
from firstlight.errors import ExperimentError
from firstlight.experiments.environment import environment
from firstlight.experiments.setup import Setup
from firstlight.records.rate_test import RateTest


def rate_test(
    setup: Setup, steps: int, low: float, high: float, progress: Callable[[int], None] = lambda done: None
) -> RateTest:
    """Train for so many steps at learning rates from `low` to `high`, evenly on a logarithmic axis.

    It is the training of the experiment in all else: the same weights at the start, the same batches and draws. The
    schedule is left aside. Nothing is written. Raises ExperimentError where the range or the steps make no sense.
    """
    if not 0 < low < high < np.inf:
        raise ExperimentError(f"The test goes from a rate above 0 to a higher one; received {low:g} and {high:g}.")
    if steps < 20:
        raise ExperimentError(f"The test needs at least 20 steps to distinguish a curve from noise; received {steps}.")
    experiment, batch_size = setup.experiment, setup.experiment.training.batch_size
    task = replace(setup.task, average=None, steps_per_epoch=None)
    session = setup.engine.session(task, setup.train, None if setup.start is None else setup.start.vector)
    session.warm_up(batch_size, 1)
    rates = np.geomspace(low, high, steps)
    began = time.perf_counter()
    losses = training.rate_test(session, task, setup.train, batch_size, rates, progress)
    lr = experiment.optimizer.lr
    assert lr is not None, "a resolved experiment has a learning rate"
    return RateTest(
        model=setup.model.name,
        data=setup.dataset.name,
        optimizer=experiment.optimizer.name,
        batch_size=batch_size,
        seed=experiment.seed,
        lr=lr,
        to=high,
        rates=tuple(rates[: len(losses)].tolist()),
        losses=tuple(losses.tolist()),
        training_images=len(setup.train),
        environment=environment(session.describe()),
        seconds=time.perf_counter() - began,
    )
