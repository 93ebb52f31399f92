"""Optimizers that are a formula alone, on parameters of PyTorch.

On a CPU the tensors lend their memory to the compiled kernels; elsewhere the formula is worked out by PyTorch itself.
So is one with matrix products, everywhere: the threads of NumPy's library would wait beside PyTorch's for the cores.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.lib.mixins import NDArrayOperatorsMixin

from firstlight import kernels
from firstlight.kernels.formula import Formula
from firstlight.optimizers import Block, Optimizer, Part

OPERATORS: dict[str, Any] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": operator.pow,
    "negative": operator.neg,
    "absolute": abs,
}


class FormulaOptimizer(torch.optim.Optimizer):
    """An optimizer of ours over groups of parameters; it keeps what PyTorch's own would, each moment by our name.

    blocks     the parameters as the optimizer sees them
    by_tensor  let PyTorch work the formula out on a CPU too
    """

    def __init__(
        self,
        groups: Sequence[Mapping[str, Any]],
        optimizer: Optimizer,
        blocks: Sequence[Block],
        by_tensor: bool = False,
    ) -> None:
        super().__init__([dict(group) for group in groups], {"lr": 0.0})
        self.ours, self.parts = optimizer, list[list[Part]]()
        self.by_tensor = by_tensor or optimizer.uses_blas
        parts, start = optimizer.parts(blocks), 0
        for group in self.param_groups:  # one for each factor, where parts are cut too
            stop = start + sum(theta.numel() for theta in group["params"])
            inside = [part for part in parts if start <= part.where.start < stop]
            self.parts.append([_within(part, start) for part in inside])
            start = stop

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step, for each group on one flat vector."""
        for group, parts in zip(self.param_groups, self.parts, strict=True):
            known = [self.state[theta] for theta in group["params"]]
            for theta, state in zip(group["params"], known, strict=True):
                for name in self.ours.moments:
                    if name not in state:
                        state[name] = torch.zeros_like(theta)
            slopes = [torch.zeros_like(theta) if theta.grad is None else theta.grad for theta in group["params"]]
            theta, gradient = _flat(group["params"]), _flat(slopes)
            moments = {name: _flat([state[name] for state in known]) for name in self.ours.moments}
            count = int(known[0].get("step", 0)) + 1
            self._move(parts, theta, gradient, moments, count, group["lr"])
            _spread(theta, group["params"])
            for name, moment in moments.items():
                _spread(moment, [state[name] for state in known])
            for state in known:
                state["step"] = torch.tensor(float(count))

    def _move(self, parts: Any, theta: Any, gradient: Any, moments: dict[str, Any], count: int, rate: float) -> None:
        """Move the flat vectors in place."""
        ours: Any = TensorKernels
        if theta.device.type == "cpu" and not self.by_tensor:
            ours, theta, gradient = kernels.load(), theta.numpy(), gradient.numpy()
            moments = {name: moment.numpy() for name, moment in moments.items()}
        state: Any = {**moments, "step": np.array([count])}
        for part in parts:
            self.ours.update(ours, part, theta, gradient[None], state, rate)


class TensorKernels:
    """The step of an optimizer on tensors, as `Kernels.step` takes it on arrays."""

    @staticmethod
    def step(
        formula: Formula, part: slice, theta: Any, gradients: Any, moments: Any, scalars: Sequence[float],
        cuts: Sequence[int] = (),
    ) -> None:  # fmt: skip
        """See `Kernels.step`; what PyTorch does not know, NumPy works out on the host."""
        places, g = [theta[part], *(moment[part] for moment in moments)], gradients[:, part].sum(0)
        try:
            if formula.why_not:
                raise TypeError(formula.why_not)
            found = formula(TensorArray(places[0]), TensorArray(g), [*map(TensorArray, places[1:])], scalars)
            results = [each.tensor if isinstance(each, TensorArray) else each for each in found]
        except (TypeError, AttributeError):
            arrays = [place.cpu().numpy() for place in places]
            found = formula(arrays[0], g.cpu().numpy(), arrays[1:], scalars)
            results = [torch.from_numpy(np.asarray(each, theta.cpu().numpy().dtype)) for each in found]
        for place, result in zip(places, results, strict=True):
            place.copy_(result) if isinstance(result, torch.Tensor) else place.fill_(result)


class TensorArray(NDArrayOperatorsMixin):
    """A tensor that a formula takes for an array: NumPy's functions on it are PyTorch's of the same name."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options.keys() - {"out"}:
            return NotImplemented
        values = [each.tensor if isinstance(each, TensorArray) else each for each in inputs]
        if ufunc.__name__ in OPERATORS:
            return TensorArray(OPERATORS[ufunc.__name__](*values))
        function = getattr(torch, ufunc.__name__, None)
        if function is None:
            return NotImplemented
        like: Any = {"dtype": self.tensor.dtype, "device": self.tensor.device}
        return TensorArray(function(*(v if isinstance(v, torch.Tensor) else torch.tensor(v, **like) for v in values)))

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is not np.where or len(args) != 3 or kwargs:
            return NotImplemented
        condition, yes, no = (each.tensor if isinstance(each, TensorArray) else each for each in args)
        return TensorArray(torch.where(condition, yes, no))


def _within(part: Part, start: int) -> Part:
    """The part as it lies in a vector that begins at `start`; the group's learning rate has its factor."""
    return part._replace(where=slice(part.where.start - start, part.where.stop - start), factor=1.0)


def _flat(tensors: Sequence[Any]) -> torch.Tensor:
    """A new vector of their numbers, each in the order of its own axes."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def _spread(vector: torch.Tensor, tensors: Sequence[torch.Tensor]) -> None:
    """The vector's numbers back into the tensors."""
    start = 0
    for tensor in tensors:
        tensor.copy_(vector[start : start + tensor.numel()].reshape(tensor.shape))
        start += tensor.numel()
