"""What an optimizer is: one formula over the flat vector of weights, in NumPy."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from firstlight.components import Component, Components, needed
from firstlight.kernels import GRID, Kernels, reference
from firstlight.kernels.formula import Formula
from firstlight.optimizers.weight_update import WeightUpdate, general
from firstlight.types import Array, Shape
from firstlight.working import Working

State = Mapping[str, Array]


class Part(NamedTuple):
    """A part of the weights that takes a step of its own.

    where   the numbers of the vector
    factor  what its learning rate is multiplied by
    shape   of the one array that it holds, where its step has to know it
    cuts    where arrays begin and end that threads share out by themselves: see `Kernels.step`
    """

    where: slice
    factor: float = 1.0
    shape: Shape | None = None
    cuts: tuple[int, ...] = ()


class Block(NamedTuple):
    """One trained array of the model: where it lies in the vector, its shape, what its learning rate is multiplied by,
    and whether it is a layer's kernel, as biases and the scales of norms are not."""

    where: slice
    shape: Shape
    factor: float
    kernel: bool


@dataclass(frozen=True)
class Optimizer(Component):
    """The base of all optimizers: a subclass says its hyperparameters, the names of its moments, and its formula.

    State is arrays alone, so that a checkpoint can hold it.

    lr         the learning rate
    uses_blas  whether its step calls BLAS, whose threads are then held to one
    """

    uses_blas: ClassVar[bool] = False

    @property
    def moments(self) -> Mapping[str, str]:
        """Its moments, each an array like the weights, zero at first, by name.

        The values are PyTorch's names for them; without a twin, any.
        """
        return {}

    def scalars(self, lr: float, t: int) -> Mapping[str, float]:
        """The numbers that the formula takes in step t (from 1) at a learning rate: what is worked out once a step."""
        return {"lr": lr}

    @needed(unless="update")
    def formula(self, *args: Any, **kwargs: Any) -> Any:
        """formula(theta, g, *, m, …, lr, …): the weights and then the moments after a step, as new arrays.

        theta and the gradient g are vectors; the moments, arrays like them, and the scalars are given by name. It runs
        as it is with arrays of NumPy. Where it is made of NumPy's universal functions alone (and `np.where`), it is
        compiled in one pass over the vector, and works on a GPU as well.
        """
        raise NotImplementedError

    def state(self, n: int, dtype: Any = np.float32) -> dict[str, Array]:
        """What the optimizer knows of n weights before its first step: its moments and the count of steps."""
        return {name: np.zeros(n, dtype) for name in self.moments} | {"step": np.zeros(1, np.int64)}

    def step(
        self,
        theta: Array,
        gradient: Array,
        state: State,
        lr: float,
        parts: Sequence[Part] | None = None,
        kernels: Kernels = reference,
    ) -> None:
        """Move the weights `theta` (n,) by one step, in place; the state goes along.

        gradient  (n,), or (k, n): the parts that k workers found, whose sum it is
        parts     that together cover theta, as `parts` gives them
        """
        gradients = gradient[None] if gradient.ndim == 1 else gradient
        if gradients.shape[1:] != theta.shape:
            raise ValueError(f"step: a gradient of shape {gradient.shape} for weights of shape {theta.shape}.")
        state["step"][0] += 1
        for part in parts or [Part(slice(0, len(theta)))]:
            self.update(kernels, part, theta, gradients, state, float(lr) * part.factor)

    def update(self, kernels: Kernels, part: Part, theta: Array, gradients: Array, state: State, lr: float) -> None:
        """The step that `state` counts, for one part of the weights and of what belongs to them, in place."""
        formula, numbers = self._recorded
        scalars = (*numbers, *self.scalars(lr, int(state["step"][0])).values())
        moments = [state[name] for name in formula.moments]
        kernels.step(formula, part.where, theta, gradients, moments, scalars, part.cuts)

    def __getstate__(self) -> dict[str, Any]:
        """Without what is recorded, which holds functions that cannot be pickled."""
        return {name: value for name, value in vars(self).items() if name != "_recorded"}

    @cached_property
    def _recorded(self) -> tuple[Formula, tuple[float, ...]]:
        """The formula, recorded for any hyperparameters that are numbers with a point, and these numbers.

        Two of a kind share what is compiled; other hyperparameters are part of the formula.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "lr"}
        numbers = {name: value for name, value in values.items() if isinstance(value, float)}

        def function(theta: Any, g: Any, **given: Any) -> Any:
            with_these = copy.copy(self)
            for name in numbers:
                object.__setattr__(with_these, name, given.pop(f"self.{name}"))
            return with_these.formula(theta, g, **given)

        scalars = (*(f"self.{name}" for name in numbers), *self.scalars(0.1, 1))
        return Formula.record(function, tuple(self.moments), scalars), tuple(numbers.values())

    def not_compiled(self, kernels: Kernels) -> str:
        """Why these kernels leave the formula to NumPy, as a step has found; empty where they compile it."""
        why = getattr(kernels, "why_not", None)
        return "" if why is None or "_recorded" not in vars(self) else str(why(self._recorded[0]))

    def working(self, update: WeightUpdate) -> Working:
        """What a step did with one weight, line by line: here its own formula, written out with the numbers."""
        return general(self, update)

    def parts(self, blocks: Sequence[Block]) -> list[Part]:
        """How the weights are cut for a step: where the factor of the learning rate changes."""
        parts: list[Part] = []
        for block in blocks:
            start = block.where.start
            if parts and parts[-1].factor == block.factor:
                start = parts.pop().where.start
            parts.append(Part(slice(start, block.where.stop), block.factor))
        return parts

    def twin(self, torch: Any, groups: Sequence[Mapping[str, Any]], fused: bool) -> Any:
        """The same optimizer of PyTorch over groups of parameters; None where the formula itself is to be used there.

        fused  one kernel for all of a step, where PyTorch has one
        """
        return None

    def twin_state(self, torch: Any, t: int) -> dict[str, Any]:
        """What the twin keeps for a parameter after step t beside its moments, by PyTorch's names."""
        return {"step": torch.tensor(float(t))}

    def twin_step(
        self, parameters: Sequence[Any], step: Callable[[], None], memory: dict[str, list[Any]], t: int
    ) -> None:
        """Move PyTorch's parameters by `step`, the twin's own, for the step t (from 1).

        memory  tensors like the parameters, by the names of the moments that this optimizer has beside the innermost's
        """
        step()

    @property
    def innermost(self) -> Optimizer:
        """What the gradient is given to; another one where this one is round it."""
        return self


OPTIMIZERS = Components("optimizer", base=Optimizer)


def optimizer(name: str, **options: Any) -> Optimizer:
    """The optimizer called `name` with its options. Raises ExperimentError for an unknown name or option."""
    return OPTIMIZERS.build(name, **options)


def running_mean(mean: Any, share: Any, news: Any) -> Any:
    """share · mean + news, on a grid of about 1e-32 that keeps it off denormal numbers.

    A mean of gradients that stay zero would otherwise decay into these, with which a processor is ten times slower.
    """
    return share * mean + news + GRID - GRID
