"""Soft targets: every loss takes any columns that sum to one, with the same gradient of them on both engines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.checks import gradients as g
from firstlight.losses import LOSSES, CrossEntropy, Loss
from firstlight.types import Array

EVERY = [*(kind() for kind in LOSSES.values()), CrossEntropy(0.2)]
every_loss = pytest.mark.parametrize("each", EVERY, ids=repr)
some = settings(max_examples=20, deadline=None, derandomize=True)
sizes = st.tuples(st.integers(2, 7), st.integers(1, 5), st.integers(0, 2**32))


def drawn(size: tuple[int, int, int]) -> tuple[Array, Array, Array]:
    """Outputs (K, N), soft columns, of which some entries are zero, and weights (N,)."""
    K, N, seed = size
    draw = np.random.default_rng(seed)
    t = draw.dirichlet(np.full(K, 0.5), N).T * (draw.random((K, N)) < 0.7)
    t[draw.integers(K, size=N), np.arange(N)] += 0.1
    return 2 * draw.standard_normal((K, N)), t / t.sum(axis=0), draw.uniform(0.2, 3, N)


def by_the_twin(each: Loss, y: Array, t: Array, weights: Array) -> tuple[float, Array]:
    rows = torch.tensor(y.T.copy(), requires_grad=True)
    mean = (each.twin(torch, rows, torch.tensor(t.T.copy())) * torch.tensor(weights)).mean()
    mean.backward()
    assert rows.grad is not None
    return mean.item(), rows.grad.numpy().T


@every_loss
@some
@given(sizes)
def test_gradients_are_those_of_differences_and_of_pytorch(each: Loss, size: tuple[int, int, int]) -> None:
    y, t, weights = drawn(size)
    value, dy = each.value_and_gradient(y, t, weights)
    g.check(
        lambda y: np.array([each.value_and_gradient(y, t, weights)[0]]),
        lambda v: v * each.value_and_gradient(y, t, weights)[1],
        y,
        np.random.default_rng(1),
    )
    theirs, gradient = by_the_twin(each, y, t, weights)
    assert value == pytest.approx(theirs, rel=1e-9)
    np.testing.assert_allclose(dy, gradient, rtol=1e-8, atol=1e-11)


@every_loss
def test_the_comparison_rejects_other_targets(each: Loss) -> None:
    y, t, weights = drawn((4, 5, 0))
    moved = np.roll(t, 1, axis=0)
    assert np.abs(each.value_and_gradient(y, t, weights)[1] - by_the_twin(each, y, moved, weights)[1]).max() > 1e-3


@every_loss
@some
@given(sizes, st.floats(0, 1))
def test_the_gradient_of_a_mixture_is_the_mixture_of_the_gradients(each: Loss, size: Any, share: float) -> None:
    y, one, _ = drawn(size)
    other = np.roll(one, 1, axis=0)
    mixed = each.gradient(y, share * one + (1 - share) * other)
    parts = share * each.gradient(y, one) + (1 - share) * each.gradient(y, other)
    np.testing.assert_allclose(mixed, parts, rtol=1e-9, atol=1e-12)
