"""Which learning rate a curve speaks for: by curves whose answer is known, and those that speak for none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.report.page_checks import assert_sound

from firstlight import report
from firstlight.records.environment import Environment
from firstlight.records.rate_test import RateTest
from firstlight.types import Array

RATES = np.geomspace(1e-6, 10, 200)


def found(losses: Any, rates: Array = RATES, **more: Any) -> RateTest:
    asked: dict[str, Any] = {
        "model": "<b>net",
        "data": "digits",
        "optimizer": "adam",
        "batch_size": 32,
        "seed": 0,
        "lr": 1e-3,
        "to": 10.0,
        "training_images": 1000,
        "environment": Environment(),
    }
    return RateTest(rates=tuple(rates[: len(losses)]), losses=tuple(losses), **asked | more)


def fall(at: float, again: float, noise: float = 0.02) -> Array:
    """A loss that falls from 2.3 to 0.3 at a rate, and rises again at another."""
    x, rng = np.log10(RATES), np.random.default_rng(0)
    down, up = (1 / (1 + np.exp(-4 * (x - math.log10(rate)))) for rate in (at, again))
    return 2.3 - 2 * down + 8 * up + noise * rng.standard_normal(len(x))


@pytest.mark.parametrize("at", [1e-4, 1e-3, 1e-2])
def test_where_the_loss_falls_fastest(at: float) -> None:
    test = found(fall(at, 100 * at))
    assert test.suggestion.rate == pytest.approx(at, rel=1.0)  # by the share of itself: a little later
    assert test.suggestion.reason.startswith("The loss falls fastest there. Training diverges at")


def test_at_most_a_tenth_of_where_training_breaks_down() -> None:
    test = found(fall(1e-3, 4e-3))
    assert test.suggestion.rate is not None
    assert test.suggestion.rate < 7e-4
    assert test.suggestion.reason.startswith("One tenth of")


def test_a_curve_that_holds_to_the_end_says_so() -> None:
    test = found(fall(1e-2, 1e9))
    assert not test.diverged
    assert test.suggestion.reason.endswith("Up to 10, the last rate, training did not diverge.")
    cut = found(fall(1e-3, 1e9)[:150])
    assert cut.diverged
    assert "Training diverges at 0.17" in cut.suggestion.reason


FLAT = 2.3 + 0.05 * np.random.default_rng(1).standard_normal(200)
NOTHING = {
    "flat": np.full(200, 2.3),
    "noise": FLAT,
    "only worse": 2.3 + np.geomspace(1e-3, 10, 200),
    "noise that falls a little": FLAT - np.linspace(0, 0.01, 200),
}


@pytest.mark.parametrize("losses", NOTHING.values(), ids=NOTHING.keys())
def test_a_curve_that_shows_nothing_suggests_nothing(losses: Array) -> None:
    suggested = found(losses).suggestion
    assert suggested.rate is None
    assert suggested.reason.startswith("The loss never fell clearly")


def test_a_test_that_ends_at_once_suggests_a_smaller_start() -> None:
    suggested = found([2.3, 2.4, 50.0, math.nan]).suggestion
    assert suggested.rate is None
    assert "start from a lower rate (--from)" in suggested.reason


def test_smoothing_is_not_late_and_passes_over_what_is_no_number() -> None:
    step = np.where(np.arange(200) < 100, 2.0, 1.0)
    smooth = found(step).smoothed
    assert smooth[99] + smooth[100] == pytest.approx(3.0)
    assert np.isfinite(found([*step[:-1], math.nan]).smoothed).all()


@pytest.mark.parametrize("losses", [fall(1e-3, 1e-1), *NOTHING.values(), [2.3, math.nan], [*fall(1e-3, 1e-1), 1e300]])
def test_its_page_is_sound_and_its_json_has_numbers(losses: Any) -> None:
    test = found(losses, np.geomspace(1e-6, 10, max(len(losses), 2)))
    shown = assert_sound(report.render_html(test))
    assert "<b>net" in shown.text
    record = test.to_json()
    assert record["suggestion"] == test.suggestion.rate
    assert len(record["losses"]) == len(record["rates"]) == len(record["smoothed"])
