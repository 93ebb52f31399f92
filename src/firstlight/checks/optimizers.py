"""What an optimizer must pass, on a bowl in a few dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from firstlight import kernels
from firstlight.checks.demand import (
    Demand,
    DemandError,
    Fault,
    must_be_close,
    must_be_finite,
    must_be_unwritten,
    must_equal,
    must_have_pytorch,
    must_store_nothing,
    spoilt,
)
from firstlight.kernels import Kernels
from firstlight.optimizers import Optimizer
from firstlight.types import Array

N, STEPS, BOWL = 7, 8, 300
RATES = [0.05 * 0.9**t for t in range(STEPS)]
TWIN = 1e-9


@dataclass(frozen=True)
class Case:
    """An optimizer on so many weights."""

    optimizer: Optimizer
    n: int = N

    def __str__(self) -> str:
        return repr(self.optimizer)

    def start(self, dtype: Any = np.float64) -> Array:
        return np.random.default_rng(0).standard_normal(self.n).astype(dtype)

    def walked(self, steps: int = STEPS, dtype: Any = np.float64, loops: Kernels | None = None) -> tuple[Array, Any]:
        """The weights after some steps, and the state."""
        theta = self.start(dtype)
        state = self.optimizer.state(self.n, dtype)
        for t in range(steps):
            self.step(theta, slope(theta, t), state, RATES[t], loops)
        return theta, state

    def step(self, theta: Array, gradient: Array, state: Any, lr: float, loops: Kernels | None = None) -> None:
        self.optimizer.step(theta, gradient, state, lr, kernels=loops or kernels.load("reference"))


def slope(theta: Any, t: int) -> Any:
    """A gradient that changes with the weights and the step."""
    return 2 * theta - theta.dtype.type(math.cos(t)) if isinstance(theta, np.ndarray) else 2 * theta - math.cos(t)


# --- demands ----------------------------------------------------------------------------------------------------------


def in_place(case: Case) -> None:
    """A step moves the weights where they lie and keeps every dtype; the gradient is not written to."""
    for dtype in (np.float32, np.float64):
        what, theta = np.dtype(dtype).name, case.start(dtype)
        state, gradient = case.optimizer.state(case.n, dtype), slope(theta, 1)
        before = gradient.copy()
        case.step(theta, gradient, state, 0.1)
        must_be_unwritten(f"{what}, gradient", gradient, before)
        if theta.tobytes() == case.start(dtype).tobytes():
            raise DemandError(f"{what}, weights", "numbers that a step moves, in place", "the same numbers")
        must_be_finite(f"{what}, weights after a step", theta)
        for name, array in state.items():
            if name != "step":
                must_equal(f"{what}, state {name}", what, array.dtype.name, "{}, as the weights have it")
        must_equal(f"{what}, state step", [1], state["step"].tolist(), "{} after one step")


def descends(case: Case) -> None:
    """Σθ² falls in 300 steps, at the optimizer's own learning rate."""
    theta = case.start()
    state, lr = case.optimizer.state(case.n, theta.dtype), getattr(case.optimizer, "lr", 0.01)
    before = float(theta @ theta)
    for _ in range(BOWL):
        case.step(theta, 2 * theta, state, lr)
    if not float(theta @ theta) < before:
        raise DemandError(f"Σθ² after {BOWL} steps at lr = {lr:g}", f"less than {before:.4g}", f"{theta @ theta:.4g}")


def resumed(case: Case) -> None:
    """All that it remembers is in its state: from a copy of weights and state it continues to the same last bit."""
    case.walked(1)  # records the formula
    held, (whole, _) = dict(vars(case.optimizer)), case.walked()
    theta, state = case.walked(STEPS // 2)
    case.walked(3)  # another walk in between
    theta, state = theta.copy(), {name: array.copy() for name, array in state.items()}
    for t in range(STEPS // 2, STEPS):
        case.step(theta, slope(theta, t), state, RATES[t])
    must_equal(f"{STEPS} steps, resumed after {STEPS // 2}", whole.tolist(), theta.tolist(), "{}, as without a stop")
    must_store_nothing("optimizer", held, case.optimizer, "step")


def workers(case: Case) -> None:
    """A gradient (k, n) of k workers is the same as their sum."""
    parts = np.random.default_rng(2).standard_normal((3, case.n))
    theta, expected = case.start(), case.start()
    state, other = case.optimizer.state(case.n, float), case.optimizer.state(case.n, float)
    for _ in range(3):
        case.step(theta, parts, state, 0.1)
        case.step(expected, parts.sum(axis=0), other, 0.1)
    must_be_close("the gradients of 3 workers", theta, expected, 1e-12)


def kernels_agree(case: Case) -> None:
    """The compiled kernels and those of NumPy take the same steps."""
    loops = kernels.load("compiled")
    must_be_close("compiled kernels", case.walked(loops=loops)[0], case.walked()[0], 1e-12)


def twin(case: Case) -> None:
    """PyTorch takes the same steps, with its own optimizer, the twin, or else by the formula."""
    must_have_pytorch()
    from firstlight.engines import autograd

    theirs = autograd.walk(case.optimizer, case.start(), slope, RATES)
    must_be_close(f"weights after {STEPS} steps", case.walked()[0], theirs, TWIN, "PyTorch's")


DEMANDS = (
    Demand("in place", in_place),
    Demand("descends", descends),
    Demand("resumed", resumed),
    Demand("workers", workers),
    Demand("kernels", kernels_agree),
    Demand("twin", twin),
)


# --- mistakes ---------------------------------------------------------------------------------------------------------

Step = Callable[[Case, Array, Array, Any, float, dict[str, Any]], None]


def _with(step: Step) -> Callable[[Case], Case]:
    def spoil(case: Case) -> Case:
        def taken(theta: Array, gradient: Array, state: Any, lr: float, *rest: Any, **options: Any) -> None:
            step(case, theta, gradient, state, lr, options)

        return replace(case, optimizer=spoilt(case.optimizer, step=taken))

    return spoil


def _uphill(case: Case, theta: Array, gradient: Array, state: Any, lr: float, options: dict[str, Any]) -> None:
    case.optimizer.step(theta, -gradient, state, lr, **options)


def _writes(case: Case, theta: Array, gradient: Array, state: Any, lr: float, options: dict[str, Any]) -> None:
    case.optimizer.step(theta, gradient, state, lr, **options)
    gradient *= 0.5


def _moves_nothing(case: Case, theta: Array, gradient: Array, state: Any, lr: float, options: dict[str, Any]) -> None:
    case.optimizer.step(theta.copy(), gradient, state, lr, **options)


def _one_worker(case: Case, theta: Array, gradient: Array, state: Any, lr: float, options: dict[str, Any]) -> None:
    case.optimizer.step(theta, gradient if gradient.ndim == 1 else gradient[0], state, lr, **options)


def _remembers(case: Case) -> Case:
    calls = iter(range(10**9))

    def step(case: Case, theta: Array, gradient: Array, state: Any, lr: float, options: dict[str, Any]) -> None:
        case.optimizer.step(theta, gradient, state, lr * (1 + next(calls) / 100), **options)

    return _with(step)(case)


def _twin_of_another_rate(case: Case) -> Case:
    def twin_step(parameters: Any, step: Callable[[], None], memory: Any, t: int) -> None:
        case.optimizer.twin_step(parameters, step, memory, t)
        for theta in parameters:
            theta.detach().mul_(1.01)

    return replace(case, optimizer=spoilt(case.optimizer, twin_step=twin_step))


FAULTS = (
    Fault("steps uphill", _with(_uphill)),
    Fault("moves a copy of the weights", _with(_moves_nothing)),
    Fault("writes to the gradient", _with(_writes)),
    Fault("counts outside of its state", _remembers),
    Fault("only the first worker's gradient", _with(_one_worker)),
    Fault("twin that steps elsewhere", _twin_of_another_rate),
)
