"""Optimizers: how a gradient moves the weights, written once, over one flat vector.

The formulas are PyTorch's; the kernels work them out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from firstlight.errors import ExperimentError
from firstlight.kernels import Kernels, reference
from firstlight.options import choose, require_number
from firstlight.types import Array

Factors = Sequence[tuple[slice, float]]
State = Mapping[str, Array]


@dataclass(frozen=True)
class Optimizer:
    """The base of all optimizers. State is arrays alone, so that a checkpoint can hold it."""

    @property
    def moments(self) -> Mapping[str, str]:
        """Its running means, each an array like the weights, by name; the values are PyTorch's names for them."""
        return {}

    def state(self, n: int, dtype: Any = np.float32) -> dict[str, Array]:
        """What the optimizer knows of n weights before its first step: its running means and the count of steps."""
        return {name: np.zeros(n, dtype) for name in self.moments} | {"step": np.zeros(1, np.int64)}

    def step(
        self,
        theta: Array,
        gradient: Array,
        state: State,
        lr: float,
        factors: Factors | None = None,
        kernels: Kernels = reference,
    ) -> None:
        """Move the weights `theta` (n,) by one step, in place; the state goes along.

        gradient  (n,), or (k, n): the parts that k workers found, whose sum it is
        factors   (part of theta, what its learning rate is multiplied by); together they cover theta
        """
        gradients = gradient[None] if gradient.ndim == 1 else gradient
        if gradients.shape[1:] != theta.shape:
            raise ValueError(f"step: a gradient of shape {gradient.shape} for weights of shape {theta.shape}.")
        state["step"][0] += 1
        for part, factor in factors or [(slice(0, len(theta)), 1.0)]:
            self.update(kernels, part, theta, gradients, state, float(lr) * factor)

    def update(self, kernels: Kernels, part: slice, theta: Array, gradients: Array, state: State, lr: float) -> None:
        """The step that `state` counts, for one part of the weights and of what belongs to them, in place."""
        raise NotImplementedError

    def twin(self, torch: Any, groups: Sequence[Mapping[str, Any]], fused: bool) -> Any:
        """The same optimizer of PyTorch over groups of parameters.

        fused  one kernel for all of a step, where PyTorch has one
        """
        raise NotImplementedError

    def twin_step(self, parameters: Sequence[Any], step: Callable[[], None]) -> None:
        """Move PyTorch's parameters by `step`, the twin's own."""
        step()


@dataclass(frozen=True)
class SGD(Optimizer):
    """v ← μ v + g;  θ ← θ − lr v, or θ − lr (g + μ v) with Nesterov's look ahead (Sutskever et al. 2013).

    momentum  μ: what is kept of the direction so far
    nesterov  whether to look ahead, with momentum
    """

    lr: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        require_number("optimizer", "lr", self.lr, lambda lr: lr > 0, "a number above 0")
        require_number(
            "optimizer", "momentum", self.momentum, lambda momentum: 0 <= momentum < 1, "a number from 0 to below 1"
        )
        if not isinstance(self.nesterov, bool) or (self.nesterov and self.momentum == 0):
            raise ExperimentError(
                f"optimizer.nesterov must be true or false, and true only with momentum; received {self.nesterov!r} "
                f"with momentum {self.momentum}.",
                key="optimizer.nesterov",
            )

    @property
    def moments(self) -> Mapping[str, str]:
        return {"v": "momentum_buffer"} if self.momentum else {}

    def update(self, kernels: Kernels, part: slice, theta: Array, gradients: Array, state: State, lr: float) -> None:
        kernels.sgd(part, theta, gradients, state.get("v"), lr, self.momentum, self.nesterov)

    def twin(self, torch: Any, groups: Sequence[Mapping[str, Any]], fused: bool) -> Any:
        return torch.optim.SGD(groups, self.lr, self.momentum, nesterov=self.nesterov, fused=fused)


@dataclass(frozen=True)
class Adam(Optimizer):
    """m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²;  θ ← θ − lr m̂ / (√v̂ + ε)   (Kingma & Ba 2014)

    with m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ), which make up for the start at zero.

    beta1    β₁: what is kept of the mean gradient
    beta2    β₂: what is kept of its mean square
    epsilon  ε, against a division by nothing
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        require_number("optimizer", "lr", self.lr, lambda lr: lr > 0, "a number above 0")
        require_number("optimizer", "beta1", self.beta1, lambda beta1: 0 <= beta1 < 1, "a number from 0 to below 1")
        require_number("optimizer", "beta2", self.beta2, lambda beta2: 0 <= beta2 < 1, "a number from 0 to below 1")
        require_number("optimizer", "epsilon", self.epsilon, lambda epsilon: epsilon > 0, "a number above 0")

    @property
    def moments(self) -> Mapping[str, str]:
        return {"m": "exp_avg", "v": "exp_avg_sq"}

    def update(self, kernels: Kernels, part: slice, theta: Array, gradients: Array, state: State, lr: float) -> None:
        m, v, t = state["m"], state["v"], int(state["step"][0])
        kernels.adam(part, theta, gradients, m, v, t, lr, self.beta1, self.beta2, self.epsilon, 0.0)

    def twin(self, torch: Any, groups: Sequence[Mapping[str, Any]], fused: bool) -> Any:
        return torch.optim.Adam(groups, self.lr, (self.beta1, self.beta2), self.epsilon, fused=fused)


@dataclass(frozen=True)
class AdamW(Adam):
    """θ ← (1 − lr λ) θ before each step of Adam: a decay that the gradient's size does not scale (Loshchilov & Hutter).

    As in PyTorch, all trained weights decay, biases too.

    weight_decay  λ
    """

    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("optimizer", "weight_decay", self.weight_decay, lambda decay: decay >= 0, "a number from 0")

    def update(self, kernels: Kernels, part: slice, theta: Array, gradients: Array, state: State, lr: float) -> None:
        m, v, t = state["m"], state["v"], int(state["step"][0])
        kernels.adam(part, theta, gradients, m, v, t, lr, self.beta1, self.beta2, self.epsilon, self.weight_decay)

    def twin(self, torch: Any, groups: Sequence[Mapping[str, Any]], fused: bool) -> Any:
        betas, decay = (self.beta1, self.beta2), self.weight_decay
        return torch.optim.AdamW(groups, self.lr, betas, self.epsilon, weight_decay=decay, fused=fused)


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """v ← ρ v + (1 − ρ) g²;  θ ← θ − lr g / (√v + ε)   (Hinton 2012)

    ρ is 0.99 as in PyTorch, whose formula this is; Keras and the lecture take 0.9.

    rho      ρ: what is kept of the mean square of the gradient
    epsilon  ε, against a division by nothing
    """

    lr: float = 1e-3
    rho: float = 0.99
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        require_number("optimizer", "lr", self.lr, lambda lr: lr > 0, "a number above 0")
        require_number("optimizer", "rho", self.rho, lambda rho: 0 <= rho < 1, "a number from 0 to below 1")
        require_number("optimizer", "epsilon", self.epsilon, lambda epsilon: epsilon > 0, "a number above 0")

    @property
    def moments(self) -> Mapping[str, str]:
        return {"v": "square_avg"}

    def update(self, kernels: Kernels, part: slice, theta: Array, gradients: Array, state: State, lr: float) -> None:
        kernels.rmsprop(part, theta, gradients, state["v"], lr, self.rho, self.epsilon)

    def twin(self, torch: Any, groups: Sequence[Mapping[str, Any]], fused: bool) -> Any:
        return torch.optim.RMSprop(groups, self.lr, self.rho, self.epsilon, foreach=fused)  # it has no fused one


@dataclass(frozen=True)
class Lagged(Optimizer):
    """Each step starts from θᵅₜ = (1 − α) θₜ + α θₜ₋₁: the last step's result mixed with the weights it started from.

    The mix is made at the end of the step, so that evaluation sees the weights from which the next one starts. With
    α = 0 this is the inner optimizer; with α = 1 nothing is learnt.
    """

    inner: Optimizer
    alpha: float

    def __post_init__(self) -> None:
        require_number("optimizer", "alpha", self.alpha, lambda alpha: 0 <= alpha <= 1, "a number from 0 to 1")

    @property
    def moments(self) -> Mapping[str, str]:
        return self.inner.moments

    def update(self, kernels: Kernels, part: slice, theta: Array, gradients: Array, state: State, lr: float) -> None:
        if self.alpha == 0:
            self.inner.update(kernels, part, theta, gradients, state, lr)
            return
        before = theta[part].copy()
        self.inner.update(kernels, part, theta, gradients, state, lr)
        before *= self.alpha
        theta[part] *= 1 - self.alpha
        theta[part] += before

    def twin(self, torch: Any, groups: Sequence[Mapping[str, Any]], fused: bool) -> Any:
        return self.inner.twin(torch, groups, fused)

    def twin_step(self, parameters: Sequence[Any], step: Callable[[], None]) -> None:
        if self.alpha == 0:
            step()
            return
        before = [theta.detach().clone() for theta in parameters]
        step()
        for theta, start in zip(parameters, before, strict=True):
            theta.detach().lerp_(start, self.alpha)


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW, "rmsprop": RMSprop}


def optimizer(name: str, **options: Any) -> Optimizer:
    """The optimizer called `name` with its options. Raises ExperimentError for an unknown name or option."""
    return choose("optimizer", OPTIMIZERS, name, options)
