"""Initial weights against the variances of the papers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from firstlight.errors import ModelError
from firstlight.layers import Parameter
from firstlight.layers.initializers import INITIALIZERS, initialize

VARIANCES = {"glorot": 2 / (300 + 100), "he": 2 / 300, "lecun": 1 / 300}


@pytest.mark.parametrize("law", ["uniform", "normal"])
@pytest.mark.parametrize("family", VARIANCES)
def test_draws_have_the_variance_of_their_paper(family: str, law: str) -> None:
    parameter = Parameter((100, 300), f"{family}_{law}", fan_in=300, fan_out=100)
    W = initialize(parameter, np.random.default_rng(0), np.float64)
    deviation = math.sqrt(VARIANCES[family])
    assert W.mean() == pytest.approx(0, abs=0.02 * deviation)
    assert W.std() == pytest.approx(deviation, rel=0.02)
    largest = np.abs(W).max() / deviation
    if law == "uniform":
        assert largest == pytest.approx(math.sqrt(3), rel=0.01)
        assert largest <= math.sqrt(3)
    else:
        assert largest > 3.5, "normal draws are not truncated"


@pytest.mark.parametrize("name", INITIALIZERS)
def test_float32_starts_from_the_same_numbers_as_float64(name: str) -> None:
    parameter = Parameter((4, 5), name, fan_in=5, fan_out=4)
    single = initialize(parameter, np.random.default_rng(3))
    double = initialize(parameter, np.random.default_rng(3), np.float64)
    assert single.dtype == np.float32
    assert double.dtype == np.float64
    np.testing.assert_array_equal(single, double.astype(np.float32))


def test_zeros_and_ones() -> None:
    generator = np.random.default_rng(0)
    assert not initialize(Parameter((3,), "zeros"), generator).any()
    assert (initialize(Parameter((3,), "ones"), generator) == 1).all()


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ModelError, match=r"'glorot' is unknown.*glorot_"):
        initialize(Parameter((3,), "glorot"), np.random.default_rng(0))
