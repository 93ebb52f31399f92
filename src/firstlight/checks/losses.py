"""What a loss must pass, on labels and on soft targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from firstlight.checks import gradients as g
from firstlight.checks.demand import (
    Demand,
    DemandError,
    Fault,
    NotApplicableError,
    must_be_close,
    must_be_finite,
    must_be_unwritten,
    must_equal,
    must_have_pytorch,
    must_store_nothing,
    spoilt,
)
from firstlight.losses import Loss
from firstlight.types import Array

K, N = 4, 6
LABELS = np.array([0, 3, 1, 1, 2, 0])
ONE_HOT = np.eye(K)[:, LABELS]
TARGETS = {"labels": LABELS, "soft targets": 0.7 * ONE_HOT + 0.3 * np.eye(K)[:, LABELS[::-1]]}
WEIGHTS = np.array([2.0, 0.5, 1.0, 3.0, 0.25, 1.5])
ROUNDING = {np.float32: 1e-5, np.float64: 1e-10}
TWIN = 1e-10


@dataclass(frozen=True)
class Case:
    """A loss with targets for `units` outputs: labels (N,), or columns (units, N)."""

    loss: Loss
    what: str
    targets: Array
    units: int = K

    @classmethod
    def all_of(cls, loss: Loss) -> list[Case]:
        return [cls(loss, what, targets) for what, targets in TARGETS.items()]

    def __str__(self) -> str:
        return f"{self.loss!r} on {self.what}"

    def outputs(self, dtype: Any = np.float64) -> Array:
        """Random outputs (units, N)."""
        return (2 * np.random.default_rng(0).standard_normal((self.units, N))).astype(dtype)


# --- demands ----------------------------------------------------------------------------------------------------------


def gradients(case: Case) -> None:
    """The gradient of the mean over the batch is that of central differences, in float64."""
    gradient_check(case).verify()


def gradient_check(case: Case, weights: Array | None = None) -> g.GradientCheck:
    """The mean loss about random outputs, with each sample's weight where there are any, and its gradient."""
    return g.differences(
        lambda y: np.array([case.loss.value_and_gradient(y, case.targets, weights)[0]]),
        lambda v: v * case.loss.value_and_gradient(case.outputs(), case.targets, weights)[1],
        case.outputs(),
        np.random.default_rng(1),
        "the outputs",
    )


def weights(case: Case) -> None:
    """A sample of weight two counts as two, in value and gradient, and the mean is over all samples."""
    gradient_check(case, WEIGHTS).verify()
    y = case.outputs()
    value, _ = case.loss.value_and_gradient(y, case.targets, WEIGHTS)
    must_be_close("weighted mean", value, float((case.loss.values(y, case.targets) * WEIGHTS).mean()), 1e-10)
    value, dy = case.loss.value_and_gradient(y, case.targets, np.ones(N))
    plain, dy_plain = case.loss.value_and_gradient(y, case.targets)
    must_be_close("all weights 1, value", value, plain, 1e-12)
    must_be_close("all weights 1, gradient", dy, dy_plain, 1e-12)
    _, dy = case.loss.value_and_gradient(case.outputs(np.float32), case.targets, WEIGHTS)
    must_equal("float32, weighted gradient", "float32", dy.dtype.name, "{}, as the outputs have it")


def values(case: Case) -> None:
    """There is a value for each sample, which no other sample changes, in the dtype of the outputs; so the gradient."""
    for dtype, rounding in ROUNDING.items():
        y, what = case.outputs(dtype), np.dtype(dtype).name
        found = case.loss.values(y, case.targets)
        value, dy = case.loss.value_and_gradient(y, case.targets)
        must_equal(f"{what}, values", (N,), np.shape(found), "the shape {}, a number per sample")
        must_equal(f"{what}, gradient", y.shape, np.shape(dy), "the shape {}, as the outputs have it")
        must_equal(f"{what}, values", what, found.dtype.name, "{}, as the outputs have it")
        must_equal(f"{what}, gradient", what, dy.dtype.name, "{}, as the outputs have it")
        must_be_close(f"{what}, value", value, float(found.mean(dtype=np.float64)), rounding)
        for i in range(N):
            alone = case.loss.values(y[:, i : i + 1], case.targets[..., i : i + 1])
            must_be_close(f"{what}, sample {i + 1} of {N} alone", alone, found[i : i + 1], rounding)


def one_hot(case: Case) -> None:
    """A label means a target of 1 for its class and 0 for the others."""
    if case.targets.ndim == 2 or case.units == 1:
        raise NotApplicableError("these targets are columns already")
    y, columns = case.outputs(), np.eye(case.units)[:, case.targets]
    must_be_close("values of labels", case.loss.values(y, case.targets), case.loss.values(y, columns), 1e-12)
    ours, theirs = (case.loss.value_and_gradient(y, t)[1] for t in (case.targets, columns))
    must_be_close("gradient of labels", ours, theirs, 1e-12)


def probabilities(case: Case) -> None:
    """Probabilities are float32 (N, classes), each row sums to one, and the largest is of the class predicted."""
    y = case.outputs(np.float32)
    rows, predicted = case.loss.probabilities(y), case.loss.predicted(y)
    classes = max(case.units, 2)
    must_equal("probabilities", (N, classes), np.shape(rows), "the shape {}, a row per sample")
    must_equal("probabilities", "float32", rows.dtype.name, "{}")
    if not rows.min() >= 0:
        raise DemandError("probabilities", "numbers from 0", f"{rows.min():g}")
    must_be_close("sum of each row of probabilities", rows.sum(axis=1), np.ones(N), 1e-5)
    must_equal("class predicted", rows.argmax(axis=1).tolist(), np.asarray(predicted).tolist(), "{}, the most probable")


def huge(case: Case) -> None:
    """Outputs of ±10,000 give finite losses, gradients and probabilities in float32."""
    y = (np.sign(case.outputs()) * 1e4).astype(np.float32)
    value, dy = case.loss.value_and_gradient(y, case.targets)
    found = {"loss": np.array(value), "gradient": dy, "probabilities": case.loss.probabilities(y)}
    for what, array in found.items():
        must_be_finite(f"outputs of ±10,000, {what}", array)


def unwritten(case: Case) -> None:
    """Neither outputs nor targets nor weights are written to, and nothing is stored on the loss."""
    arrays = {"outputs": case.outputs(), "targets": case.targets.copy(), "weights": WEIGHTS.copy()}
    before, held = {name: array.copy() for name, array in arrays.items()}, dict(vars(case.loss))
    case.loss.value_and_gradient(*arrays.values())
    case.loss.probabilities(arrays["outputs"])
    for name, array in arrays.items():
        must_be_unwritten(name, array, before[name])
    must_store_nothing("loss", held, case.loss)


def twin(case: Case) -> None:
    """The PyTorch twin gives the same values and, by autograd, the same gradient."""
    if type(case.loss).twin is Loss.twin:
        raise NotApplicableError("it has no twin, so the engine torch cannot train with it")
    must_have_pytorch()
    from firstlight.engines import autograd

    y = case.outputs()
    values, dy = autograd.of_loss(case.loss, y, case.targets)
    must_be_close("values", case.loss.values(y, case.targets), values, TWIN, "its twin")
    must_be_close("gradient", case.loss.value_and_gradient(y, case.targets)[1], dy, TWIN, "autograd")


DEMANDS = (
    Demand("gradient", gradients),
    Demand("weights", weights),
    Demand("values", values),
    Demand("one-hot", one_hot),
    Demand("probabilities", probabilities),
    Demand("huge outputs", huge),
    Demand("inputs unwritten", unwritten),
    Demand("twin", twin),
)


# --- mistakes ---------------------------------------------------------------------------------------------------------


def _with(case: Case, **methods: Callable[..., Any]) -> Case:
    return Case(spoilt(case.loss, **methods), case.what, case.targets, case.units)


def _gradient(change: Callable[[Array], Array]) -> Callable[[Case], Case]:
    def spoil(case: Case) -> Case:
        def passed(y: Array, targets: Array, weights: Array | None = None) -> tuple[float, Array]:
            value, dy = case.loss.value_and_gradient(y, targets, weights)
            return value, change(dy)

        return _with(case, value_and_gradient=passed)

    return spoil


def _unweighted(case: Case) -> Case:
    def passed(y: Array, targets: Array, weights: Array | None = None) -> tuple[float, Array]:
        return case.loss.value_and_gradient(y, targets)

    return _with(case, value_and_gradient=passed)


def _writes(case: Case) -> Case:
    def passed(y: Array, targets: Array, weights: Array | None = None) -> tuple[float, Array]:
        found = case.loss.value_and_gradient(y.copy(), targets, weights)
        y *= y.dtype.type(0.5)
        return found

    return _with(case, value_and_gradient=passed)


def _twin_scaled(case: Case) -> Case:
    if type(case.loss).twin is Loss.twin:
        raise NotApplicableError("it has no twin")
    return _with(case, twin=lambda torch, y, targets: case.loss.twin(torch, y, targets) * 1.01)


FAULTS = (
    Fault("gradient × 1.01", _gradient(lambda dy: dy * dy.dtype.type(1.01))),
    Fault("gradient lost", _gradient(np.zeros_like)),
    Fault("gradient of another sample", _gradient(lambda dy: dy[:, ::-1])),
    Fault("weights forgotten", _unweighted),
    Fault("values of the whole batch", lambda case: _with(case, values=lambda y, t: case.loss.values(y, t)[::-1])),
    Fault(
        "probabilities that do not sum to one",
        lambda case: _with(case, probabilities=lambda y: case.loss.probabilities(y) * np.float32(0.9)),
    ),
    Fault("writes to the outputs", _writes),
    Fault("twin × 1.01", _twin_scaled),
)
