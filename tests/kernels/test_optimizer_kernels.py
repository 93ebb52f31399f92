"""The compiled steps of the optimizers equal the reference to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import special

from firstlight.kernels import Kernels, _formulas, compiled, reference
from firstlight.kernels.formula import Formula, loop
from firstlight.optimizers import SGD, AdamW, Lion, NAdam, Optimizer, Part, RMSprop
from firstlight.types import Array

LONG = 2 * _formulas.SHARE + 3  # shared out among threads
quick = settings(max_examples=12, deadline=None, derandomize=True)
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
both_kernels = pytest.mark.parametrize("kernels", [reference, compiled], ids=["reference", "compiled"])


class Case(NamedTuple):
    """Some steps on a part of n weights, with gradients of k workers."""

    n: int = 50
    k: int = 1
    steps: int = 3
    cut: tuple[float, float] = (0.0, 1.0)  # the part, as fractions of n
    lr: float = 0.01
    share: float = 0.9  # β₁, μ and ρ
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.01
    scale: float = 1.0  # of the gradients

    @property
    def part(self) -> slice:
        return slice(int(self.n * self.cut[0]), int(self.n * self.cut[1]))


@dataclass(frozen=True)
class Odd(Optimizer):
    """What no optimizer does: comparisons, powers, integers, a choice of two, an array that stays."""

    limit: float = 0.5

    @property
    def moments(self) -> Mapping[str, str]:
        return {"largest": "", "still": ""}

    def formula(self, theta: Any, g: Any, lr: float, largest: Any, still: Any) -> Any:
        largest = np.maximum(largest, abs(g)) * 0.5
        g = np.where(largest > 3 * self.limit, np.sign(g) * 2, g**2 / 7 - 1)
        theta -= lr * g * (1 - self.limit**2)
        return theta, largest, still


def updates(case: Case) -> dict[str, Optimizer]:
    return {
        "sgd": SGD(),
        "sgd with momentum": SGD(momentum=case.share),
        "sgd of Nesterov": SGD(momentum=case.share or 0.5, nesterov=True),
        "adam": AdamW(1.0, case.share, case.beta2, case.epsilon, case.weight_decay),
        "nadam": NAdam(1.0, case.share, case.beta2, case.epsilon),
        "lion": Lion(1.0, case.share, case.beta2, case.weight_decay),
        "rmsprop": RMSprop(1.0, case.share, case.epsilon),
        "odd": Odd(limit=case.share),
    }


fractions = st.floats(0, 0.9999)
cases = st.builds(
    Case,
    n=st.integers(0, 300) | st.sampled_from([1023, 1024, 1025, 2049, reference.BLOCK + 7, LONG]),
    k=st.integers(1, 3),
    steps=st.integers(1, 4),
    cut=st.just((0.0, 1.0)) | st.tuples(fractions, fractions).map(lambda cut: (min(cut), max(cut))),
    lr=st.floats(1e-6, 10),
    share=fractions,
    beta2=fractions,
    epsilon=st.floats(1e-12, 1),
    weight_decay=st.just(0.0) | st.floats(0, 1),
    scale=st.sampled_from([1e-12, 1e-3, 1.0, 1e12]),
)


def stepped(kernels: Any, case: Case, dtype: type, spoil: Callable[[Array], None] | None = None) -> dict[str, Array]:
    """The weights and the moments after the steps of each update; `spoil` changes the gradients of the first."""
    found: dict[str, Array] = {}
    for name, each in updates(case).items():
        rng = np.random.default_rng(0)
        theta = rng.standard_normal(case.n).astype(dtype)
        state = each.state(case.n, dtype)
        for t in range(1, case.steps + 1):
            gradients = (case.scale * rng.standard_normal((case.k, case.n))).astype(dtype)
            if spoil is not None and t == 1:
                spoil(gradients)
            each.step(theta, gradients, state, case.lr, [Part(case.part)], kernels)
        found |= {f"{name}: theta": theta} | {f"{name}: {mean}": state[mean] for mean in each.moments}
    return found


def assert_equal(found: dict[str, Array], expected: dict[str, Array]) -> None:
    """Equal in dtype, in shape and in every bit, but that one NaN is as good as another."""
    for name, truth in expected.items():
        np.testing.assert_array_equal(found[name], truth, name, strict=True)


@both_dtypes
@quick
@example(case=Case(n=0))
@example(case=Case(n=1, k=9))
@example(case=Case(n=LONG, k=2))
@example(case=Case(n=2 * LONG, k=3, cut=(0.4, 0.99)))
@given(case=cases)
def test_compiled_steps_equal_the_reference(dtype: type, case: Case) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        assert_equal(stepped(compiled, case, dtype), stepped(reference, case, dtype))


@both_kernels
@both_dtypes
def test_what_lies_outside_the_part_stays(kernels: Kernels, dtype: type) -> None:
    start = np.random.default_rng(0).standard_normal(40).astype(dtype)
    for name, array in stepped(kernels, Case(n=40, cut=(0.25, 0.75)), dtype).items():
        moved = array != (start if "theta" in name else 0)
        assert moved[10:30].all() or "still" in name, name
        assert not moved[:10].any(), name
        assert not moved[30:].any(), name


@both_kernels
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [50, LONG])
def test_what_is_not_finite_stays_so_and_where_it_is(kernels: Kernels, bad: float, n: int) -> None:
    def spoil(gradients: Array) -> None:
        gradients[-1, n // 2] = bad

    with np.errstate(over="ignore", invalid="ignore"):
        found = stepped(kernels, Case(n=n, k=2), np.float32, spoil)
    for name, array in found.items():
        steady = ("lion: theta", "odd: theta", "odd: still")  # where only the sign counts, or nothing
        assert not np.isfinite(array[n // 2]) or name in steady, name
        assert np.isfinite(np.delete(array, n // 2)).all(), name


@both_kernels
def test_running_means_are_zero_or_no_denormal_numbers(kernels: Kernels) -> None:
    for scale in 10.0 ** np.arange(-45, -12):
        for name, array in stepped(kernels, Case(share=0.5, scale=scale), np.float32).items():
            size = np.abs(array)
            assert "theta" in name or "odd" in name or ((size == 0) | (size >= np.finfo(np.float32).tiny)).all(), name


@both_dtypes
def test_one_thread_computes_what_two_do(dtype: type) -> None:
    case, threads = Case(n=LONG, k=2), numba.get_num_threads()
    expected = stepped(compiled, case, dtype)
    try:
        numba.set_num_threads(1)
        assert_equal(stepped(compiled, case, dtype), expected)
    finally:
        numba.set_num_threads(threads)


def broken(spoilt: Callable[..., None]) -> SimpleNamespace:
    """The reference with its step spoilt."""
    return SimpleNamespace(step=spoilt)


def in_double(
    formula: Formula,
    part: slice,
    theta: Array,
    gradients: Array,
    moments: Sequence[Array],
    scalars: Sequence[float],
    cuts: Sequence[int] = (),
) -> None:
    wide, wide_moments = theta.astype(float), [moment.astype(float) for moment in moments]
    reference.step(formula, part, wide, gradients.astype(float), wide_moments, scalars)
    theta[:] = wide
    for moment, result in zip(moments, wide_moments, strict=True):
        moment[:] = result


BROKEN = {
    "the first worker's gradient alone": broken(
        lambda formula, part, theta, gradients, *rest: reference.step(formula, part, theta, gradients[:1], *rest)
    ),
    "the part ignored": broken(
        lambda formula, part, theta, *rest: reference.step(formula, slice(0, len(theta)), theta, *rest)
    ),
    "the last weight left": broken(
        lambda formula, part, *rest: reference.step(formula, slice(part.start, part.stop - 1), *rest)
    ),
    "the scalars backwards": broken(
        lambda formula, part, theta, g, moments, scalars, cuts=(): reference.step(
            formula, part, theta, g, moments, [*scalars][::-1]
        )
    ),
    "computed in float64": broken(in_double),
}


@pytest.mark.parametrize("subject", BROKEN.values(), ids=BROKEN.keys())
def test_the_comparison_rejects_a_broken_step(subject: SimpleNamespace) -> None:
    case = Case(k=2, cut=(0.1, 0.9))
    with pytest.raises(AssertionError):
        assert_equal(stepped(subject, case, np.float32), stepped(reference, case, np.float32))


def test_two_of_a_kind_share_what_is_compiled() -> None:
    one, other = (each._recorded[0] for each in (AdamW(0.1, 0.5), AdamW(0.2, 0.7)))
    assert loop(one, 8) == loop(other, 8)
    assert loop(SGD(momentum=0.5)._recorded[0], 8) != loop(SGD(momentum=0.5, nesterov=True)._recorded[0], 8)


@dataclass(frozen=True)
class Clipped(Optimizer):
    """A step no longer than `longest`: the norm is of all weights of a part together, which no loop computes."""

    longest: float = 0.1

    def formula(self, theta: Any, g: Any, lr: float) -> Any:
        norm = np.linalg.norm(g)
        return theta - lr * g * min(1.0, self.longest / float(norm))


@dataclass(frozen=True)
class Branching(Optimizer):
    """It asks which of two numbers is larger, though they are the same for all weights."""

    def formula(self, theta: Any, g: Any, lr: float) -> Any:
        return theta - lr * g if lr < 1 else theta


@dataclass(frozen=True)
class Unknown(Optimizer):
    """A universal function that Numba does not have."""

    def formula(self, theta: Any, g: Any, lr: float) -> Any:
        return theta - lr * special.erf(g)


@pytest.mark.parametrize(("each", "why"), [(Clipped(), "norm"), (Branching(), "np.where"), (Unknown(), "erf")])
def test_what_is_not_compiled_runs_as_it_is_and_says_so(each: Optimizer, why: str) -> None:
    rng = np.random.default_rng(0)
    n = 50
    theta, gradients = rng.standard_normal(n), rng.standard_normal((2, n))
    expected = each.formula(theta[5:], gradients.sum(0)[5:], 0.1)
    for kernels in (reference, compiled):
        found = theta.copy()
        each.step(found, gradients, each.state(n, float), 0.1, [Part(slice(5, n))], kernels)
        np.testing.assert_allclose(found[5:], expected, rtol=1e-14)
    told = compiled.why_not(each._recorded[0])
    assert told
    assert why in told


def test_a_formula_returns_its_moments() -> None:
    class Short(Lion):
        def formula(self, theta: Any, g: Any, m: Any, lr: float) -> Any:
            return theta - lr * g

    each = Short()
    with pytest.raises(ValueError, match=r"its moments \(m\), 2 arrays in all; this one returned 1"):
        each.step(np.ones(3), np.ones(3), each.state(3, float), 0.1)
