"""The compiled steps of the optimizers equal the reference to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firstlight.kernels import Kernels, _optimizers, compiled, reference
from firstlight.types import Array

LONG = 2 * _optimizers.SHARE + 3  # shared out among threads
# The updates, and the running means that each keeps.
UPDATES = {"sgd": "", "sgd with momentum": "v", "sgd of Nesterov": "v", "adam": "mv", "rmsprop": "v"}
quick = settings(max_examples=25, deadline=None, derandomize=True)
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
    """The weights and the running means after the steps of each update; `spoil` changes the gradients of the first."""
    found: dict[str, Array] = {}
    for name, means in UPDATES.items():
        rng = np.random.default_rng(0)
        theta = rng.standard_normal(case.n).astype(dtype)
        m, v = np.zeros((2, case.n), dtype)
        for t in range(1, case.steps + 1):
            gradients = (case.scale * rng.standard_normal((case.k, case.n))).astype(dtype)
            if spoil is not None and t == 1:
                spoil(gradients)
            if name == "adam":
                betas = (case.share, case.beta2, case.epsilon, case.weight_decay)
                kernels.adam(case.part, theta, gradients, m, v, t, case.lr, *betas)
            elif name == "rmsprop":
                kernels.rmsprop(case.part, theta, gradients, v, case.lr, case.share, case.epsilon)
            else:
                mean = v if means else None
                kernels.sgd(case.part, theta, gradients, mean, case.lr, case.share, name == "sgd of Nesterov")
        found |= {f"{name}: theta": theta} | {f"{name}: {mean}": {"m": m, "v": v}[mean] for mean in means}
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
        assert moved[10:30].all(), name
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
        assert not np.isfinite(array[n // 2]), name
        assert np.isfinite(np.delete(array, n // 2)).all(), name


@both_kernels
def test_running_means_are_zero_or_no_denormal_numbers(kernels: Kernels) -> None:
    for scale in 10.0 ** np.arange(-45, -12):
        for name, array in stepped(kernels, Case(share=0.5, scale=scale), np.float32).items():
            size = np.abs(array)
            assert "theta" in name or ((size == 0) | (size >= np.finfo(np.float32).tiny)).all(), name


@both_dtypes
def test_one_thread_computes_what_two_do(dtype: type) -> None:
    case, threads = Case(n=LONG, k=2), numba.get_num_threads()
    expected = stepped(compiled, case, dtype)
    try:
        numba.set_num_threads(1)
        assert_equal(stepped(compiled, case, dtype), expected)
    finally:
        numba.set_num_threads(threads)


def broken(name: str, spoilt: Callable[..., None]) -> SimpleNamespace:
    """The reference with one update spoilt."""
    whole = {"sgd": reference.sgd, "adam": reference.adam, "rmsprop": reference.rmsprop}
    return SimpleNamespace(**whole | {name: spoilt})


def in_double(part: slice, theta: Array, gradients: Array, v: Array, *rest: float) -> None:
    wide, wide_v = theta.astype(float), v.astype(float)
    reference.rmsprop(part, wide, gradients.astype(float), wide_v, *rest)
    theta[:], v[:] = wide, wide_v


BROKEN = {
    "the first worker's gradient alone": broken(
        "sgd", lambda part, theta, gradients, *rest: reference.sgd(part, theta, gradients[:1], *rest)
    ),
    "the part ignored": broken(
        "rmsprop", lambda part, theta, *rest: reference.rmsprop(slice(0, len(theta)), theta, *rest)
    ),
    "the last weight left": broken("adam", lambda part, *rest: reference.adam(slice(part.start, part.stop - 1), *rest)),
    "Nesterov forgotten": broken("sgd", lambda *rest: reference.sgd(*rest[:-1], False)),  # type: ignore[call-arg]
    "steps counted from zero": broken(
        "adam", lambda part, theta, g, m, v, t, *rest: reference.adam(part, theta, g, m, v, t + 1, *rest)
    ),
    "the decay forgotten": broken("adam", lambda *rest: reference.adam(*rest[:-1], 0.0)),  # type: ignore[call-arg]
    "computed in float64": broken("rmsprop", in_double),
}


@pytest.mark.parametrize("subject", BROKEN.values(), ids=BROKEN.keys())
def test_the_comparison_rejects_a_broken_update(subject: SimpleNamespace) -> None:
    case = Case(k=2, cut=(0.1, 0.9))
    with pytest.raises(AssertionError):
        assert_equal(stepped(subject, case, np.float32), stepped(reference, case, np.float32))
