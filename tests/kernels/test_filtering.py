"""Winograd's matrices: exact filters, and the rounding error that they add."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from firstlight.kernels._filtering import TAPS, Filtering, filtering
from firstlight.kernels.ops.winograd import LARGE, SMALL
from firstlight.types import Array

LAVIN = filtering([1.0, 2.0])  # the points of Lavin & Gray 2015


def convolved(d: Array, g: Array, m: int) -> Array:
    """y[·, i, j] = Σ g[c, r, s] d[c, ·, i + r, j + s], (images, m, m)."""
    y = np.zeros((d.shape[1], m, m), d.dtype)
    for c, r, s in np.ndindex(g.shape):
        y += d[c, :, r : r + m, s : s + m] * g[c, r, s]
    return y


def filtered(way: Filtering, d: Array, g: Array) -> Array:
    """The same by minimal filtering, each product of the transforms rounded to the type of d."""
    A, G, B = (matrix.astype(d.dtype) for matrix in (way.A, way.G, way.B))
    M = np.zeros((d.shape[1], way.n, way.n), d.dtype)
    for channel, kernel in zip(d, g, strict=True):
        M += (G @ kernel @ G.T) * (B @ channel @ B.T)
    return np.asarray(A.T @ M @ A)


@pytest.mark.parametrize("way", [SMALL, LARGE, LAVIN], ids=["2×2", "4×4", "Lavin & Gray"])
def test_it_is_the_convolution(way: Filtering) -> None:
    random = np.random.default_rng(0)
    d, g = random.standard_normal((5, 7, way.n, way.n)), random.standard_normal((5, TAPS, TAPS))
    assert way.n == way.m + 2
    assert np.abs(filtered(way, d, g) - convolved(d, g, way.m)).max() < 1e-12
    spoilt = way._replace(G=way.G * (1 + 1e-6))
    assert np.abs(filtered(spoilt, d, g) - convolved(d, g, way.m)).max() > 1e-7


@pytest.mark.parametrize("way", [SMALL, LARGE], ids=["2×2", "4×4"])
def test_its_gradient_is_that_of_the_convolution(way: Filtering) -> None:
    random = np.random.default_rng(1)
    d, dy = random.standard_normal((way.n, way.n)), random.standard_normal((way.m, way.m))
    found = way.G.T @ ((way.A @ dy @ way.A.T) * (way.B @ d @ way.B.T)) @ way.G
    expected = [[(dy * d[r : r + way.m, s : s + way.m]).sum() for s in range(TAPS)] for r in range(TAPS)]
    assert np.abs(found - expected).max() < 1e-12


def test_the_error_in_float32() -> None:
    """Of 64 channels, in units of the outputs' size: large tiles lose less than half as much as by the usual points."""
    random = np.random.default_rng(2)
    errors = {}
    for name, way in (("small", SMALL), ("large", LARGE), ("usual", LAVIN)):
        d: Any = random.standard_normal((64, 300, way.n, way.n)).astype("f4")
        g: Any = (random.standard_normal((64, 3, 3)) / 24).astype("f4")
        truth = convolved(d.astype(float), g.astype(float), way.m)
        errors[name] = float(np.sqrt(((filtered(way, d, g) - truth) ** 2).mean() / (truth**2).mean()))
        errors[f"direct, {name}"] = float(np.sqrt(((convolved(d, g, way.m) - truth) ** 2).mean() / (truth**2).mean()))
    assert errors["small"] < 4e-7 < 6e-7 < errors["large"] < 1.2e-6
    assert errors["large"] < errors["usual"] / 1.8
    assert errors["large"] < 3 * errors["direct, large"]
