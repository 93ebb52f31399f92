"""Focal loss: where it is cross-entropy, what it makes of what is known already, and its slope at the ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from firstlight.losses import CrossEntropy, Focal
from firstlight.types import Array

Y = 2 * np.random.default_rng(0).standard_normal((4, 6))
LABELS = np.array([0, 3, 1, 1, 2, 0])


def test_with_a_gamma_of_zero_it_is_cross_entropy() -> None:
    (value, dy), (theirs, gradient) = (each.value_and_gradient(Y, LABELS) for each in (Focal(0), CrossEntropy()))
    assert value == pytest.approx(theirs, rel=1e-12)
    np.testing.assert_allclose(dy, gradient, rtol=1e-12, atol=1e-15)


def test_what_the_paper_says_of_well_classified_examples() -> None:
    """With γ = 2, p = 0.9 has a 100 times lower loss than by cross-entropy, and p ≈ 0.968 a 1,000 times lower one."""
    p = np.array([0.9, 1 - 1000**-0.5])
    y, labels = np.stack([np.log(p), np.log1p(-p)]), np.zeros(2, np.int64)
    np.testing.assert_allclose(CrossEntropy().values(y, labels) / Focal(2).values(y, labels), [100, 1000], rtol=1e-9)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_twin_has_its_values_and_its_gradient_to_the_ends(gamma: float, dtype: type) -> None:
    far: Array = np.array([[0, 30, 1e3, -1e3], [0, 0, 0, 0], [9, -30, -1e3, 0]], dtype)
    labels = np.array([2, 0, 0, 0])
    y = torch.tensor(far.T.copy(), requires_grad=True)
    values = Focal(gamma).twin(torch, y, torch.tensor(labels))
    values.mean().backward()
    value, dy = Focal(gamma).value_and_gradient(far, labels)
    assert y.grad is not None
    assert np.isfinite(dy).all()
    tolerance = 1e-6 if dtype is np.float32 else 1e-13
    assert values.mean().item() == pytest.approx(value, rel=tolerance)
    np.testing.assert_allclose(dy, y.grad.numpy().T, rtol=tolerance, atol=tolerance)
