"""What an optimizer did with one weight in one step, and the rule by which any formula is written out with numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from firstlight.kernels import GRID
from firstlight.kernels.formula import Symbol
from firstlight.options import documented
from firstlight.types import Array
from firstlight.working import Line, Operand, Working

if TYPE_CHECKING:
    from firstlight.optimizers.base import Optimizer, Part

SIGNS = {"add": "+", "subtract": "−", "multiply": "·", "divide": "/"}
LETTERS = {"theta": "θ"}


@dataclass(frozen=True, eq=False)
class WeightUpdate:
    """One weight in one step of an optimizer.

    at        which number of the vector it is
    theta     all trained weights before the step, and `after` it
    gradient  the gradient with respect to them, penalties included
    state     the optimizer's moments before the step, and `state_after` it
    lr        the learning rate of the weight's own part
    t         which step it is, from 1
    part      what is moved by one step of the optimizer together
    """

    at: int
    theta: Array
    after: Array
    gradient: Array
    state: Mapping[str, Array]
    state_after: Mapping[str, Array]
    lr: float
    t: int
    part: Part

    @property
    def weight(self) -> float:
        return float(self.theta[self.at])

    @property
    def g(self) -> float:
        return float(self.gradient[self.at])

    def moment(self, name: str) -> float:
        """Before the step."""
        return float(self.state[name][self.at])

    def working(self, lines: list[Line], note: str = "") -> Working:
        """The lines, the last of which is the weight after the step, beside the engine's own."""
        size = abs(self.weight) + abs(lines[-1].value - self.weight) * 4
        return Working.made("θ", (self.at,), lines, self.after[self.at], note, size=size)


def general(optimizer: Optimizer, update: WeightUpdate) -> Working:
    """Any optimizer's own formula, written out with the numbers of the one weight: moments first, then the weight."""
    formula, hyperparameters = optimizer._recorded
    given = (*hyperparameters, *optimizer.scalars(update.lr, update.t).values())
    scalars = dict(zip(formula.scalars, given, strict=True))
    arrays = {"theta": update.weight, "g": update.g, **{name: update.moment(name) for name in formula.moments}}
    values = {**arrays, **scalars}
    theta, g, *moments = (np.array([number], np.float64) for number in arrays.values())
    results = formula(theta, g, moments, [*scalars.values()])
    letters = {**LETTERS, **_letters(optimizer)}
    ends = [letters.get(name, name) for name in ("theta", *formula.moments)]
    names: dict[int, str] = {}
    lines = []
    for k in [*range(1, len(results)), 0]:
        if formula.outputs:
            text, used = _written(formula.outputs[k], letters, names)
            names[id(formula.outputs[k])] = ends[k]
        else:
            text, used = f"f({', '.join(letters.get(name, name) for name in arrays)})", list(arrays)
        operands = [
            Operand.number(letters.get(name, name.replace("_", " ")), values[name]) for name in dict.fromkeys(used)
        ]
        lines.append(Line.expression(ends[k], f"{ends[k]} ← {text}", float(results[k][0]), *operands))
    return update.working(lines)


def _letters(optimizer: Optimizer) -> dict[str, str]:
    """What the docstring calls an option, as in "beta1    β₁: the decay rate of the first moment"."""
    found = {f"self.{name}": name for name in vars(optimizer)}
    for kind in reversed(type(optimizer).__mro__):
        for name, text in documented(kind.__doc__).items():
            letter = re.match(r"[^\s:,]{1,2}(?=[:, ]|$)", text)
            if letter and not letter[0].isascii():
                found[f"self.{name}"] = letter[0]
    return found


def _written(value: Any, letters: Mapping[str, str], names: Mapping[int, str]) -> tuple[str, list[str]]:
    """A symbol as people write it, and the arguments in it; what has a name already goes by that."""
    used: list[str] = []

    def text(value: Any, inside: str = "") -> str:
        if not isinstance(value, Symbol):
            return f"{value:g}".replace("-", "−")
        if id(value) in names:
            return names[id(value)]
        if value.operation == "argument":
            used.append(value.inputs[0])
            return letters.get(value.inputs[0], value.inputs[0].replace("_", " "))
        if (kept := _off_the_grid(value)) is not None:
            return text(kept, inside)
        if value.operation in SIGNS:
            left, right = (text(each, side + value.operation) for each, side in zip(value.inputs, "lr", strict=True))
            made = f"{left} {SIGNS[value.operation]} {right}"
            return f"({made})" if _brackets(value.operation, inside) else made
        if value.operation == "sqrt":
            inner = text(value.inputs[0])
            return f"√{inner}" if inner.isalpha() else f"√({inner})"
        return f"{value.operation}({', '.join(text(each) for each in value.inputs)})"

    return text(value), used


def _brackets(operation: str, inside: str) -> bool:
    """Whether a sum or a product needs brackets where it stands: on the left or right of an operation."""
    side, outer = inside[:1], inside[1:]
    if operation in ("add", "subtract"):
        return outer in ("multiply", "divide") or (side == "r" and outer == "subtract")
    return side == "r" and outer == "divide"


def _off_the_grid(value: Symbol) -> Any:
    """Of x + GRID − GRID, x: see `running_mean`. None of anything else."""
    if value.operation != "subtract":
        return None
    inner, grid = value.inputs
    if isinstance(grid, Symbol) or grid != GRID or not isinstance(inner, Symbol):
        return None
    return inner.inputs[0]
