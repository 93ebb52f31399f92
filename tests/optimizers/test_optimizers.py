"""Optimizers against scalar derivations written from the papers, number by number."""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from firstlight.checks.component import check_plugin
from firstlight.engines import autograd
from firstlight.errors import ExperimentError
from firstlight.kernels import Kernels, _formulas, compiled, reference
from firstlight.optimizers import (
    OPTIMIZERS,
    SGD,
    Adam,
    AdamW,
    Block,
    Lagged,
    Lion,
    Lookahead,
    Muon,
    NAdam,
    Optimizer,
    Part,
    RMSprop,
    optimizer,
)
from firstlight.types import Array

STEPS = 12
RATES = [0.05 * 0.9**t for t in range(STEPS)]
N = 7

EVERY = [SGD(), SGD(momentum=0.9), SGD(momentum=0.8, nesterov=True), Adam(), AdamW(weight_decay=0.1), RMSprop()]
EVERY += [NAdam(), Lion(weight_decay=0.1)]
every_optimizer = pytest.mark.parametrize("each", EVERY, ids=repr)
both_kernels = pytest.mark.parametrize("kernels", [reference, compiled], ids=["reference", "compiled"])


def gradient(theta: Any, t: int) -> Any:
    """A gradient that changes with the weights and the step."""
    return 2 * theta - math.cos(t)


def walked(
    each: Optimizer, theta: Array, steps: int = STEPS, kernels: Kernels = reference
) -> tuple[Array, dict[str, Array]]:
    theta = theta.copy()
    state = each.state(len(theta), theta.dtype)
    for t in range(steps):
        each.step(theta, gradient(theta, t), state, RATES[t % STEPS], kernels=kernels)
    return theta, state


def start(dtype: Any = np.float64, n: int = N) -> Array:
    return np.random.default_rng(0).standard_normal(n).astype(dtype)


# Each is the paper's algorithm for one number, and returns the change of the weight for a stream of gradients.


def sgd(momentum: float, nesterov: bool) -> Callable[[float], float]:
    """Sutskever et al. 2013, in the form where the learning rate is outside of the velocity."""

    def walk(theta: float) -> float:
        velocity = 0.0
        for t, lr in enumerate(RATES):
            g = gradient(theta, t)
            velocity = momentum * velocity + g
            theta = theta - lr * (g + momentum * velocity) if nesterov else theta - lr * velocity
        return theta

    return walk


def adam(decay: float) -> Callable[[float], float]:
    """Kingma & Ba 2014, algorithm 1; Loshchilov & Hutter 2017, algorithm 2, for the decay."""

    def walk(theta: float) -> float:
        m = v = 0.0
        for t, lr in enumerate(RATES, start=1):
            g = gradient(theta, t - 1)
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
            theta = theta - lr * decay * theta - lr * m_hat / (math.sqrt(v_hat) + 1e-8)
        return theta

    return walk


def rmsprop(theta: float) -> float:
    """Hinton 2012, lecture 6e."""
    square = 0.0
    for t, lr in enumerate(RATES):
        g = gradient(theta, t)
        square = 0.99 * square + 0.01 * g**2
        theta -= lr * g / (math.sqrt(square) + 1e-8)
    return theta


def nadam(theta: float) -> float:
    """Dozat 2016, algorithm 2, with the schedule of its section 3.2 (ψ = 0.004 as in Keras and PyTorch)."""
    m = v = 0.0
    product = 1.0
    for t, lr in enumerate(RATES, start=1):
        g = gradient(theta, t - 1)
        now, following = (0.9 * (1 - 0.5 * 0.96 ** (i * 0.004)) for i in (t, t + 1))
        product *= now
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        m_bar = (1 - now) * g / (1 - product) + following * m / (1 - product * following)
        theta -= lr * m_bar / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return theta


def lion(theta: float) -> float:
    """Chen et al. 2023, program 1."""
    m = 0.0
    for t, lr in enumerate(RATES):
        g = gradient(theta, t)
        theta -= lr * (math.copysign(1, 0.9 * m + 0.1 * g) + 0.1 * theta)
        m = 0.99 * m + 0.01 * g
    return theta


PAPERS = [
    sgd(0.0, nesterov=False),
    sgd(0.9, nesterov=False),
    sgd(0.8, nesterov=True),
    adam(decay=0.0),
    adam(decay=0.1),
    rmsprop,
    nadam,
    lion,
]


@both_kernels
@pytest.mark.parametrize(("each", "paper"), list(zip(EVERY, PAPERS, strict=True)), ids=map(repr, EVERY))
def test_steps_are_those_of_the_paper(each: Optimizer, paper: Callable[[float], float], kernels: Kernels) -> None:
    theta, state = walked(each, start(), kernels=kernels)
    np.testing.assert_allclose(theta, [paper(float(value)) for value in start()], rtol=1e-12, atol=1e-14)
    assert state["step"].tolist() == [STEPS]


@both_kernels
def test_the_lagged_update_starts_each_step_from_the_mix(kernels: Kernels) -> None:
    alpha, theta, previous = 0.3, 1.5, 1.5
    for t, lr in enumerate(RATES):
        mixed = (1 - alpha) * theta + alpha * previous
        previous, theta = mixed, mixed - lr * gradient(mixed, t)
    expected = (1 - alpha) * theta + alpha * previous
    assert walked(Lagged(SGD(), alpha), np.array([1.5]), kernels=kernels)[0][0] == pytest.approx(expected, rel=1e-13)


@both_kernels
@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
def test_lagged_descent_is_descent_at_a_smaller_rate(alpha: float, kernels: Kernels) -> None:
    theta = start()
    for t, lr in enumerate(RATES):
        theta = theta - (1 - alpha) * lr * gradient(theta, t)
    lagged, _ = walked(Lagged(SGD(), alpha), start(), kernels=kernels)
    np.testing.assert_allclose(lagged, theta, rtol=1e-13, atol=1e-14)
    assert np.abs(lagged - walked(SGD(), start(), kernels=kernels)[0]).max() > 1e-3


@every_optimizer
@both_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lagged_by_nothing_is_the_inner_optimizer_to_the_last_bit(
    each: Optimizer, dtype: Any, kernels: Kernels
) -> None:
    inner, state = walked(each, start(dtype), kernels=kernels)
    lagged, lagged_state = walked(Lagged(each, 0.0), start(dtype), kernels=kernels)
    assert inner.tobytes() == lagged.tobytes()
    assert {k: v.tobytes() for k, v in state.items()} == {k: v.tobytes() for k, v in lagged_state.items()}


@every_optimizer
@both_kernels
def test_lagged_by_all_learns_nothing(each: Optimizer, kernels: Kernels) -> None:
    assert walked(Lagged(each, 1.0), start(), kernels=kernels)[0].tobytes() == start().tobytes()


@every_optimizer
@both_kernels
@pytest.mark.parametrize("lag", [None, 0.4])
def test_blocks_and_shares_do_not_show(each: Optimizer, lag: float | None, kernels: Kernels) -> None:
    each = each if lag is None else Lagged(each, lag)
    n, edge = 2 * _formulas.SHARE + 5, reference.BLOCK
    whole = walked(each, start(np.float32, n), steps=3, kernels=kernels)[0]
    for part in (slice(0, 3), slice(edge - 2, edge + 2), slice(n // 2 - 3, n // 2 + 3), slice(n - 4, n)):
        piece = walked(each, start(np.float32, n)[part], steps=3, kernels=kernels)[0]
        assert piece.tobytes() == whole[part].tobytes()


@every_optimizer
@both_kernels
def test_the_gradient_is_the_sum_of_what_the_workers_found(each: Optimizer, kernels: Kernels) -> None:
    found = np.random.default_rng(2).standard_normal((3, N))
    theta, expected = start(), start()
    state, expected_state = each.state(N, float), each.state(N, float)
    for _ in range(3):
        each.step(theta, found, state, 0.1, kernels=kernels)
        each.step(expected, found[0] + found[1] + found[2], expected_state, 0.1)
    np.testing.assert_allclose(theta, expected, rtol=1e-13)


@every_optimizer
@both_kernels
@pytest.mark.parametrize("lag", [None, 0.4])
def test_parts_of_the_vector_learn_at_their_own_rates(each: Optimizer, lag: float | None, kernels: Kernels) -> None:
    each = each if lag is None else Lagged(each, lag)
    parts = [Part(slice(0, 2), 1.0), Part(slice(2, 5), 0.1), Part(slice(5, N), 3.0)]
    found = np.random.default_rng(2).standard_normal((2, N))
    theta, state = start(), each.state(N, float)
    for _ in range(3):
        each.step(theta, found, state, 0.1, parts, kernels)
    assert state["step"].tolist() == [3]
    for part, factor, *_ in parts:
        alone = start()[part]
        alone_state = each.state(len(alone), float)
        for _ in range(3):
            each.step(alone, found[:, part], alone_state, 0.1 * factor, kernels=kernels)
        np.testing.assert_array_equal(theta[part], alone)


@pytest.mark.parametrize("shape", [(N + 1,), (2, N - 1), (N, 2), (1, 1, N)])
def test_a_gradient_of_another_shape_moves_nothing(shape: tuple[int, ...]) -> None:
    each, theta = Adam(), start()
    state = each.state(N, float)
    with pytest.raises(ValueError, match=r"a gradient of shape .* for weights of shape \(7,\)"):
        each.step(theta, np.ones(shape), state, 0.1)
    assert theta.tobytes() == start().tobytes()
    assert state["step"].tolist() == [0]


@pytest.mark.slow
@every_optimizer
@both_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_keeps_the_dtype_and_writes_only_where_it_should(each: Optimizer, dtype: Any, kernels: Kernels) -> None:
    theta = start(dtype)
    state = each.state(N, dtype)
    g = gradient(theta, 1)
    g.flags.writeable = False
    before = theta
    each.step(theta, g, state, 0.1, kernels=kernels)
    assert theta is before
    assert theta.dtype == dtype
    assert all(v.dtype == (np.int64 if k == "step" else dtype) for k, v in state.items())
    assert all(v.shape == ((1,) if k == "step" else (N,)) for k, v in state.items())


@every_optimizer
@both_kernels
def test_a_resumed_walk_is_the_same_to_the_last_bit(each: Optimizer, kernels: Kernels) -> None:
    whole, _ = walked(each, start(), kernels=kernels)
    theta, state = walked(each, start(), steps=5, kernels=kernels)
    copies = {name: array.copy() for name, array in state.items()}
    for t in range(5, STEPS):
        each.step(theta, gradient(theta, t), copies, RATES[t], kernels=kernels)
    assert theta.tobytes() == whole.tobytes()


@both_kernels
@pytest.mark.parametrize("each", [SGD(momentum=0.5), Adam(), RMSprop(rho=0.5)], ids=repr)
def test_means_of_vanished_gradients_never_become_denormal(each: Optimizer, kernels: Kernels) -> None:
    theta = np.ones(3, np.float32)
    state = each.state(3)
    for t in range(2000):
        each.step(theta, np.array([1, -1e-10, 0], np.float32) * (t == 0), state, 1e-3, kernels=kernels)
        for name in each.moments:
            moment = np.abs(state[name])
            assert ((moment == 0) | (moment >= np.finfo(np.float32).tiny)).all()


@every_optimizer
@both_kernels
def test_it_finds_the_minimum_of_a_bowl(each: Optimizer, kernels: Kernels) -> None:
    theta = start()
    state = each.state(N, theta.dtype)
    for t in range(400):
        each.step(theta, 2 * theta, state, 0.05 * 0.98**t, kernels=kernels)
    assert np.abs(theta).max() < 0.04


@both_kernels
@pytest.mark.parametrize("inner", [SGD(momentum=0.9), Adam()], ids=repr)
def test_slow_weights_follow_every_few_steps(inner: Optimizer, kernels: Kernels) -> None:
    """Zhang et al. 2019, algorithm 1: an outer loop over the slow weights, an inner one over the fast."""
    slow = start()
    state, t = inner.state(N, float), 0
    for _ in range(STEPS // 3):
        fast = slow.copy()
        for _ in range(3):
            inner.step(fast, gradient(fast, t), state, RATES[t], kernels=kernels)
            t += 1
        slow = slow + 0.8 * (fast - slow)
    found, ended = walked(Lookahead(inner, 3, 0.8), start(), kernels=kernels)
    np.testing.assert_allclose(found, slow, rtol=1e-14)
    assert ended["slow"].tobytes() == found.tobytes()


@both_kernels
def test_slow_weights_are_state(kernels: Kernels) -> None:
    each = Lookahead(Adam(), 5)
    whole, _ = walked(each, start(), kernels=kernels)
    theta, state = walked(each, start(), steps=7, kernels=kernels)
    for t in range(7, STEPS):
        each.step(theta, gradient(theta, t), state, RATES[t], kernels=kernels)
    assert theta.tobytes() == whole.tobytes()


MATRICES = [
    Block(slice(0, 12), (3, 2, 1, 2), 1.0, True),
    Block(slice(12, 15), (3,), 1.0, False),
    Block(slice(15, 30), (5, 3), 0.5, True),
    Block(slice(30, 36), (3, 2), 1.0, True),
]


def test_muon_takes_hidden_kernels_for_matrices_and_leaves_the_rest_to_adamw() -> None:
    parts = Muon().parts(MATRICES)
    assert parts == [
        Part(slice(0, 12), 1.0, (3, 2, 1, 2)),
        Part(slice(12, 15)),
        Part(slice(15, 30), 0.5, (5, 3)),
        Part(slice(30, 36)),
    ]
    rng = np.random.default_rng(0)
    theta, muon = rng.standard_normal(36), Muon(weight_decay=0.1, momentum=0.9, beta1=0.8)
    state, alone = muon.state(36, float), AdamW(beta1=0.8, weight_decay=0.1)
    rest, rest_state = theta[[12, 13, 14, *range(30, 36)]].copy(), alone.state(9, float)
    matrices = {0: (3, 4), 15: (5, 3)}
    expected = {first: theta[first:][: r * c].reshape(r, c).copy() for first, (r, c) in matrices.items()}
    means = {first: np.zeros(shape) for first, shape in matrices.items()}
    for _ in range(4):
        g = rng.standard_normal(36)
        muon.step(theta, np.stack([g / 2, g / 2]), state, 0.01, parts)
        alone.step(rest, g[[12, 13, 14, *range(30, 36)]], rest_state, 0.01)
        for first, (rows, columns) in matrices.items():
            lr, G = 0.01 if first == 0 else 0.005, g[first:][: rows * columns].reshape(rows, columns)
            means[first] = 0.9 * means[first] + 0.1 * G
            u, s, vt = np.linalg.svd(0.1 * G + 0.9 * means[first], full_matrices=False)
            s /= np.linalg.norm(s)  # the singular values alone are worked on: the same polynomial of each
            for _ in range(5):
                s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
            step = 0.2 * math.sqrt(max(rows, columns)) * (u * s) @ vt
            expected[first] = (1 - 0.1 * lr) * expected[first] - lr * step
    np.testing.assert_allclose(theta[[12, 13, 14, *range(30, 36)]], rest, rtol=1e-13)
    for first, (rows, columns) in matrices.items():
        np.testing.assert_allclose(theta[first:][: rows * columns], expected[first].ravel(), rtol=1e-6)


@every_optimizer
def test_one_that_has_made_steps_is_pickled(each: Optimizer) -> None:
    walked(each, start(), steps=2)
    assert pickle.loads(pickle.dumps(each)) == each


def test_optimizers_are_made_by_name() -> None:
    assert {name: type(optimizer(name)) for name in OPTIMIZERS} == OPTIMIZERS
    assert optimizer("sgd", lr=0.1, momentum=0.9, nesterov=True) == SGD(0.1, 0.9, True)
    assert replace(AdamW(), weight_decay=0.5) == optimizer("adamw", weight_decay=0.5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("adm", {}, "'adm' is unknown. Did you mean adam"),
        ("adam", {"beta": 0.5}, "optimizer.beta: adam has no such option. Did you mean beta"),
        ("sgd", {"lr": 0}, "optimizer.lr must be a number above 0; received 0"),
        ("sgd", {"lr": math.nan}, "optimizer.lr must be a number above 0; received nan"),
        ("sgd", {"lr": "fast"}, "optimizer.lr must be a number above 0; received 'fast'"),
        ("sgd", {"momentum": 1}, "optimizer.momentum must be a number from 0 to below 1"),
        ("sgd", {"nesterov": True}, "true only with momentum; received True with momentum 0.0"),
        ("sgd", {"nesterov": "yes", "momentum": 0.5}, "nesterov must be true or false"),
        ("muon", {"iterations": 2.5}, "optimizer.iterations must be an integer from 1"),
        ("adam", {"beta1": 1.0}, "optimizer.beta1"),
        ("adam", {"beta2": -0.1}, "optimizer.beta2"),
        ("adam", {"epsilon": 0}, "optimizer.epsilon must be a number above 0"),
        ("adamw", {"weight_decay": -1}, "optimizer.weight_decay must be a number from 0"),
        ("adamw", {"lr": -1}, "optimizer.lr"),
        ("rmsprop", {"rho": 1.5}, "optimizer.rho"),
    ],
)
def test_an_unknown_name_option_or_value_is_an_error(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        optimizer(name, **options)


def test_a_lag_lies_between_nothing_and_all() -> None:
    with pytest.raises(ExperimentError, match=r"optimizer\.alpha must be a number from 0 to 1; received 1.5"):
        Lagged(SGD(), 1.5)


def test_the_optimizer_of_the_docs_passes_its_checks(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "guide" / "training.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(# my_optimizers.*?)```", text, re.DOTALL)[0]
    (tmp_path / "my_optimizers.py").write_text(code, encoding="utf-8")
    with OPTIMIZERS.restored():
        [found] = check_plugin(str(tmp_path / "my_optimizers.py"))
    assert found.passed, found
    assert {"kernels", "twin"} <= {finding.demand for finding in found.findings if finding.passed}


@pytest.mark.parametrize("each", [*EVERY, Muon(), Lookahead(Lion(), 3), Lagged(NAdam(), 0.2)], ids=repr)
def test_pytorch_takes_the_same_steps(each: Optimizer) -> None:
    """By its own optimizer where there is a twin; else it works out the formula, as on a GPU."""
    theirs = autograd.walk(each, start(), gradient, RATES)
    single = isinstance(each.innermost, NAdam)  # PyTorch keeps one number of it in float32
    np.testing.assert_allclose(theirs, walked(each, start())[0], rtol=1e-7 if single else 1e-12, atol=1e-14)


@pytest.mark.parametrize("beta1", [0.9, 0.5, 0.0])
def test_the_product_of_momenta_is_the_one_that_pytorch_keeps(beta1: float) -> None:
    each, theta = NAdam(beta1=beta1), torch.zeros(1, requires_grad=True)
    twin = each.twin(torch, [{"params": [theta]}], fused=False)
    for t in range(1, 1200):
        theta.grad = torch.ones(1)
        twin.step()
        if t < 40 or t % 100 == 0:
            assert twin.state[theta]["mu_product"].item() == each.twin_state(torch, t)["mu_product"].item(), t


def test_pytorch_takes_a_formula_of_odd_operations_and_one_that_it_does_not_know() -> None:
    @dataclass(frozen=True)
    class Odd(Optimizer):
        @property
        def moments(self) -> dict[str, str]:
            return {"largest": ""}

        def formula(self, theta: Any, g: Any, lr: float, largest: Any) -> Any:
            largest = np.maximum(0.9 * largest, np.abs(g))
            return theta - lr * np.where(largest > 1, g / (largest + 1e-3), np.tanh(g) ** 2 - 1), largest

    @dataclass(frozen=True)
    class Normed(Optimizer):
        def formula(self, theta: Any, g: Any, lr: float) -> Any:
            return theta - lr * g / np.linalg.norm(g)

    for each in (Odd(), Normed()):
        theirs = autograd.walk(each, start(), gradient, RATES)
        np.testing.assert_allclose(theirs, walked(each, start())[0], rtol=1e-12)
