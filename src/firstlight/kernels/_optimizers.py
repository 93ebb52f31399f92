"""The steps of the optimizers: each one pass over the vector of weights, block by block of a few KiB.

Every element is worked out by itself, in the order of operations of `reference`, so that the results are its results
to the last bit, on however many threads. A mean is kept in a variable and written last: read again from memory just
after it was written there, where it does not lie on a vector's boundary, it makes Adam's step twice as slow.
"""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import get_num_threads, prange

from firstlight.kernels import GRID
from firstlight.kernels._jit import alone, inner, parallel
from firstlight.types import Array

# The elements of a block: the sum of its gradients stays in a core's first-level cache.
BLOCK = 1024
# The least elements for which a thread is woken. In training it is awake, and gradients and moments of its share lie
# in its own core's cache: Adam's 110 thousand weights take 30 µs instead of 49, and the step after it gains as much.
SHARE = 16384


def sgd(
    part: slice, theta: Array, gradients: Array, v: Array | None, lr: float, momentum: float, nesterov: bool
) -> None:
    """v ← μ v + g;  θ ← θ − lr v, or θ − lr (g + μ v)."""
    _run(_sgd, _sgd_shared, part, theta, gradients, v, lr, momentum, nesterov, GRID)


def adam(
    part: slice, theta: Array, gradients: Array, m: Array, v: Array, t: int, lr: float, beta1: float, beta2: float,
    epsilon: float, weight_decay: float,
) -> None:  # fmt: skip
    """θ ← (1 − lr λ) θ − lr m̂ / (√v̂ + ε)."""
    correction = math.sqrt(1 - beta2**t)
    rate, decay = lr * correction / (1 - beta1**t), 1 - lr * weight_decay
    _run(_adam, _adam_shared, part, theta, gradients, m, v, rate, beta1, beta2, epsilon * correction, decay, GRID)


def rmsprop(part: slice, theta: Array, gradients: Array, v: Array, lr: float, rho: float, epsilon: float) -> None:
    """v ← ρ v + (1 − ρ) g²;  θ ← θ − lr g / (√v + ε)."""
    _run(_rmsprop, _rmsprop_shared, part, theta, gradients, v, lr, rho, epsilon, GRID)


def _run(alone: Any, shared: Any, part: slice, *arguments: Any) -> None:
    """Work on the part alone or, where it is long, shared out; only what is called is compiled."""
    workers = (part.stop - part.start) // SHARE
    if workers > 1:
        workers = min(workers, get_num_threads())
    if workers > 1:
        shared(part.start, part.stop, workers, *arguments)
    else:
        alone(part.start, part.stop, *arguments)


@alone
def _sgd(start, stop, theta, gradients, v, lr, momentum, nesterov, grid):
    real = theta.dtype.type
    lr, momentum, grid = real(lr), real(momentum), real(grid)
    g = np.empty(BLOCK, theta.dtype)
    for first in range(start, stop, BLOCK):
        end = min(first + BLOCK, stop)
        _sum(gradients, first, end, g)
        theta_ = theta[first:end]
        if v is None:
            for i in range(len(theta_)):
                theta_[i] -= lr * g[i]
        else:
            v_ = v[first:end]
            for i in range(len(theta_)):
                mean = momentum * v_[i] + g[i] + grid - grid
                theta_[i] -= lr * (g[i] + momentum * mean if nesterov else mean)
                v_[i] = mean


@parallel
def _sgd_shared(start, stop, workers, theta, gradients, v, lr, momentum, nesterov, grid):
    for worker in prange(workers):
        first, end = _share(start, stop, np.int64(worker), workers)
        _sgd(first, end, theta, gradients, v, lr, momentum, nesterov, grid)


@alone
def _adam(start, stop, theta, gradients, m, v, rate, beta1, beta2, epsilon, decay, grid):
    real = theta.dtype.type
    news1, news2 = real(1 - beta1), real(1 - beta2)
    beta1, beta2, epsilon = real(beta1), real(beta2), real(epsilon)
    rate, decay, grid = real(rate), real(decay), real(grid)
    g = np.empty(BLOCK, theta.dtype)
    for first in range(start, stop, BLOCK):
        end = min(first + BLOCK, stop)
        _sum(gradients, first, end, g)
        theta_, m_, v_ = theta[first:end], m[first:end], v[first:end]
        for i in range(len(theta_)):
            mean = beta1 * m_[i] + news1 * g[i] + grid - grid
            square = beta2 * v_[i] + news2 * g[i] * g[i] + grid - grid
            theta_[i] = decay * theta_[i] - rate * (mean / (math.sqrt(square) + epsilon))
            m_[i], v_[i] = mean, square


@parallel
def _adam_shared(start, stop, workers, theta, gradients, m, v, rate, beta1, beta2, epsilon, decay, grid):
    for worker in prange(workers):
        first, end = _share(start, stop, np.int64(worker), workers)
        _adam(first, end, theta, gradients, m, v, rate, beta1, beta2, epsilon, decay, grid)


@alone
def _rmsprop(start, stop, theta, gradients, v, lr, rho, epsilon, grid):
    real = theta.dtype.type
    news = real(1 - rho)
    lr, rho, epsilon, grid = real(lr), real(rho), real(epsilon), real(grid)
    g = np.empty(BLOCK, theta.dtype)
    for first in range(start, stop, BLOCK):
        end = min(first + BLOCK, stop)
        _sum(gradients, first, end, g)
        theta_, v_ = theta[first:end], v[first:end]
        for i in range(len(theta_)):
            square = rho * v_[i] + news * g[i] * g[i] + grid - grid
            theta_[i] -= lr * (g[i] / (math.sqrt(square) + epsilon))
            v_[i] = square


@parallel
def _rmsprop_shared(start, stop, workers, theta, gradients, v, lr, rho, epsilon, grid):
    for worker in prange(workers):
        first, end = _share(start, stop, np.int64(worker), workers)
        _rmsprop(first, end, theta, gradients, v, lr, rho, epsilon, grid)


@inner
def _share(start, stop, worker, workers):
    """The first and the end of a worker's contiguous share."""
    n = stop - start
    return start + n * worker // workers, start + n * (worker + 1) // workers


@inner
def _sum(gradients, first, end, g):
    """g[: end - first] = the sum of the rows of gradients[:, first:end], in order."""
    row = gradients[0, first:end]
    for i in range(len(row)):
        g[i] = row[i]
    for k in range(1, len(gradients)):
        row = gradients[k, first:end]
        for i in range(len(row)):
            g[i] += row[i]
