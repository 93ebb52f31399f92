"""Schedules by the shape of their curves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.errors import ExperimentError
from firstlight.schedules import SCHEDULES, Constant, Cosine, Exponential, OneCycle, Schedule, Step, schedule
from firstlight.types import Array

EPOCHS, STEPS, LR = 20, 10, 0.3


def curve(each: Schedule, epochs: int = EPOCHS, steps: int = STEPS) -> Array:
    """The learning rates of all steps of training."""
    return np.concatenate([each.rates(epoch, steps, epochs, LR) for epoch in range(epochs)])


def test_constant_is_constant() -> None:
    np.testing.assert_array_equal(curve(Constant()), LR)


def test_step_falls_by_its_factor_every_so_many_epochs() -> None:
    rates = curve(Step(every=8, factor=0.5)).reshape(EPOCHS, STEPS)
    np.testing.assert_allclose(rates[:, 0], [LR] * 8 + [LR / 2] * 8 + [LR / 4] * 4)
    np.testing.assert_array_equal(rates, np.repeat(rates[:, :1], STEPS, axis=1))


def test_exponential_falls_by_its_factor_each_epoch() -> None:
    rates = curve(Exponential(0.9))
    np.testing.assert_allclose(rates[::STEPS], LR * 0.9 ** np.arange(EPOCHS))
    assert (np.diff(rates) < 0).all()


def test_cosine_falls_from_the_rate_to_its_final_share() -> None:
    rates = curve(Cosine(final=0.1))
    assert rates[0] == pytest.approx(LR)
    assert rates[-1] == pytest.approx(0.1 * LR)
    assert (np.diff(rates) < 0).all()
    np.testing.assert_allclose(rates + rates[::-1], 1.1 * LR)
    assert curve(Cosine())[-1] == pytest.approx(0, abs=1e-12)


def test_one_cycle_rises_to_the_rate_and_falls_below_its_start() -> None:
    rates = curve(OneCycle(start=0.1, end=0.01, rise=0.25), epochs=20, steps=10)
    peak = int(rates.argmax())
    assert rates[0] == pytest.approx(0.1 * LR)
    assert rates[-1] == pytest.approx(0.01 * LR)
    assert rates[peak] == pytest.approx(LR, rel=1e-3)
    assert peak == pytest.approx(0.25 * len(rates), abs=1)
    assert (np.diff(rates[: peak + 1]) > 0).all()
    assert (np.diff(rates[peak:]) < 0).all()


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup", [1, 2.5])
def test_warm_up_rises_in_a_line_to_where_the_schedule_begins(name: str, warmup: float) -> None:
    rates, steps = curve(schedule(name, warmup=warmup)), int(warmup * STEPS)
    line = rates[: steps + 1]
    begins = 0.04 * LR if name == "one-cycle" else LR
    np.testing.assert_allclose(line, begins * np.arange(1, steps + 2) / (steps + 1))
    after, plain = rates[steps:], curve(schedule(name))
    assert after[0] == pytest.approx(plain[0])
    if name in ("cosine", "one-cycle"):
        assert after[-1] == pytest.approx(plain[-1])
    else:
        np.testing.assert_allclose(after, plain[: len(after)])


@settings(deadline=None)
@given(
    name=st.sampled_from(sorted(SCHEDULES)),
    epochs=st.integers(1, 6),
    steps=st.integers(1, 7),
    warmup=st.floats(0, 0.9),
)
def test_rates_are_one_a_step_finite_and_never_above_the_rate(
    name: str, epochs: int, steps: int, warmup: float
) -> None:
    each = schedule(name, warmup=warmup)
    for epoch in range(epochs):
        rates = each.rates(epoch, steps, epochs, LR)
        assert rates.shape == (steps,)
        assert rates.dtype == np.float64
        assert ((rates >= 0) & (rates <= LR * (1 + 1e-12))).all()
        np.testing.assert_array_equal(rates, each.rates(epoch, steps, epochs, LR))


def test_schedules_are_made_by_name() -> None:
    assert {name: type(schedule(name)) for name in SCHEDULES} == SCHEDULES
    assert schedule("step", every=5, factor=0.2, warmup=1) == Step(5, 0.2, warmup=1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cosin", {}, "none called 'cosin'. Did you mean cosine"),
        ("cosine", {"finl": 0.1}, "schedule.finl: cosine has no such option. Did you mean final"),
        ("constant", {"warmup": -1}, "schedule.warmup must be a number of epochs from 0; received -1"),
        ("constant", {"warmup": "long"}, "received 'long'"),
        ("step", {"every": 0}, "schedule.every must be a whole number of epochs from 1"),
        ("step", {"every": 2.5}, "schedule.every"),
        ("step", {"factor": 0}, "schedule.factor"),
        ("exponential", {"factor": 1.1}, "schedule.factor must be a number above 0, to 1; received 1.1"),
        ("cosine", {"final": 2}, "schedule.final"),
        ("one-cycle", {"start": -0.1}, "schedule.start"),
        ("one-cycle", {"end": 1.1}, "schedule.end"),
        ("one-cycle", {"rise": 1}, "schedule.rise must be a number above 0 and below 1"),
    ],
)
def test_an_unknown_name_option_or_value_is_an_error(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        schedule(name, **options)


def test_a_warm_up_as_long_as_training_is_an_error() -> None:
    with pytest.raises(ExperimentError, match="less than the 3 epochs of training; received 3"):
        Constant(warmup=3).rates(0, STEPS, 3, LR)
