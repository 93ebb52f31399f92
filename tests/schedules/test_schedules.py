"""Schedules by the shape of their curves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.errors import ExperimentError
from firstlight.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Plateau,
    Schedule,
    Step,
    Triangular,
    WarmRestarts,
    schedule,
)
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


def theirs(make: Any, steps: int) -> list[float]:
    """The learning rates of a schedule of PyTorch, step by step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], LR, momentum=0.9)
    each, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        each.step()
    return rates


@pytest.mark.parametrize(("period", "growth"), [(3, 1), (2, 2), (1, 3)])
def test_warm_restarts_are_those_of_pytorch(period: int, growth: int) -> None:
    def make(optimizer: Any) -> Any:
        return torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, period * STEPS, growth, 0.1 * LR)

    rates = curve(WarmRestarts(period, growth, 0.1))
    np.testing.assert_allclose(rates, theirs(make, EPOCHS * STEPS), rtol=1e-9)
    assert rates[period * STEPS] == pytest.approx(LR)


@pytest.mark.parametrize(("factor", "mode"), [(1.0, "triangular"), (0.5, "triangular2")])
def test_triangles_are_those_of_pytorch(factor: float, mode: Any) -> None:
    def make(optimizer: Any) -> Any:
        return torch.optim.lr_scheduler.CyclicLR(optimizer, 0.1 * LR, LR, 2 * STEPS, mode=mode, cycle_momentum=False)

    np.testing.assert_allclose(curve(Triangular(4, 0.1, factor)), theirs(make, EPOCHS * STEPS), rtol=1e-9)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    st.lists(st.sampled_from([0.5, 0.50001, 0.49999, 0.4, 0.3, 0.8]), min_size=1, max_size=15),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.2]),
)
def test_a_plateau_reduces_the_rate_as_pytorch_does(losses: list[float], patience: int, final: float) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], LR)
    other = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=patience, min_lr=final * LR, eps=0
    )
    each, history = Plateau(0.5, patience, final=final), list[dict[str, float]]()
    for epoch, loss in enumerate(losses):
        rates = each.rates(epoch, 3, len(losses), LR, history)
        np.testing.assert_allclose(rates, optimizer.param_groups[0]["lr"], rtol=1e-12)
        other.step(loss)
        history.append({"loss": 9.0, "val_loss": loss, "val_accuracy": 0.5})


def test_a_plateau_is_one_of_the_value_that_is_asked_for() -> None:
    rows = [{"loss": 1.0 / (1 + n), "val_loss": 1.0, "val_accuracy": 0.5 + n / 10} for n in range(4)]
    assert Plateau(0.5, 0).reduction(rows) == 0.125
    assert Plateau(0.5, 0, of="val_error").reduction(rows) == 1
    assert Plateau(0.5, 0).reduction([{"loss": row["loss"]} for row in rows]) == 1
    assert Plateau(0.5, 0, warmup=1.5).reduction(rows) == 0.5


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup", [1, 2.5])
def test_warm_up_rises_in_a_line_to_where_the_schedule_begins(name: str, warmup: float) -> None:
    rates, steps = curve(schedule(name, warmup=warmup)), int(warmup * STEPS)
    line = rates[: steps + 1]
    begins = {"one-cycle": 0.04, "triangular": 0.1}.get(name, 1.0) * LR
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
        ("cosin", {}, "'cosin' is unknown. Did you mean cosine"),
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
