"""The formula of an optimizer, as the operations that it makes of its arguments.

A formula is a function of NumPy arrays and numbers. To compile it, or to work it out on another library's arrays, it
is called once with symbols in their places. Each universal function of NumPy (`a + b`, `np.sqrt`, `np.maximum`), and
`np.where`, then gives a symbol that remembers what it was made of. These work element by element, whatever the formula
does with them; a formula that does something else, such as a norm over all weights, is not recorded and says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from firstlight.errors import brief


class Symbol(NDArrayOperatorsMixin):
    """An argument of a formula, or what an operation made of others.

    operation  the name of a universal function, "where", or "argument"
    inputs     symbols and numbers, what the operation was given; of an argument its name
    scalar     whether it is one number for all elements
    """

    def __init__(self, operation: str, inputs: tuple[Any, ...], scalar: bool) -> None:
        self.operation, self.inputs, self.scalar = operation, inputs, scalar

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        # a -= b gives a itself as `out`: the name stands for another symbol from then on.
        ours = ufunc.nout == 1 and ufunc is getattr(np, ufunc.__name__, None)
        if method != "__call__" or not ours or options.keys() - {"out"}:
            return NotImplemented
        return _made(ufunc.__name__, inputs)

    def __array_function__(self, function: Any, types: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if function is not np.where or len(args) != 3 or kwargs:
            return NotImplemented
        return _made("where", args)

    def __bool__(self) -> bool:
        raise TypeError("it asks which of two numbers is larger: use np.where")

    def __float__(self) -> float:
        raise TypeError("it takes a number out of Python's reach: use np.sqrt and the like, or `scalars`")

    __hash__ = None  # type: ignore[assignment]


def _made(operation: str, inputs: tuple[Any, ...]) -> Any:
    if not all(isinstance(each, Symbol | int | float) for each in inputs):
        return NotImplemented
    return Symbol(operation, inputs, all(each.scalar for each in inputs if isinstance(each, Symbol)))


@dataclass(frozen=True, eq=False)
class Formula:
    """A formula, and what it was recorded as.

    function  (theta, g, **moments, **scalars) -> the new theta and moments, in this order
    moments   names of the running means, arrays like theta
    scalars   names of the numbers that it takes
    outputs   the symbols of what it returns; empty where it could not be recorded
    why_not   why it could not be recorded; empty where it was
    """

    function: Callable[..., Any]
    moments: tuple[str, ...]
    scalars: tuple[str, ...]
    outputs: tuple[Any, ...] = ()
    why_not: str = ""

    def __call__(self, theta: Any, g: Any, moments: Sequence[Any], scalars: Sequence[Any]) -> tuple[Any, ...]:
        """The new theta and moments."""
        named = dict(zip(self.moments, moments, strict=True)) | dict(zip(self.scalars, scalars, strict=True))
        found = self.function(theta, g, **named)
        results = found if isinstance(found, tuple) else (found,)
        if len(results) != 1 + len(self.moments):
            raise ValueError(
                f"A formula returns the weights and then its moments ({', '.join(self.moments) or 'none'}), "
                f"{1 + len(self.moments)} arrays in all; this one returned {len(results)}."
            )
        return results

    @classmethod
    def record(cls, function: Callable[..., Any], moments: Sequence[str], scalars: Sequence[str]) -> Formula:
        """Call the function with symbols. Raises ValueError where it returns too few or too many arrays."""
        plain = cls(function, tuple(moments), tuple(scalars))
        arrays, numbers = ([Symbol("argument", (name,), flag) for name in names]
                           for names, flag in ((("theta", "g", *moments), False), (scalars, True)))  # fmt: skip
        try:
            outputs = plain(arrays[0], arrays[1], arrays[2:], numbers)
        except (TypeError, AttributeError) as error:
            return cls(function, tuple(moments), tuple(scalars), why_not=brief(str(error)))
        return cls(function, tuple(moments), tuple(scalars), outputs)

    def operations(self) -> Iterator[Symbol]:
        """Every symbol that the results are made of, each once, and after those that it is made of itself."""
        done: set[int] = set()
        waiting = [output for output in reversed(self.outputs) if isinstance(output, Symbol)]
        while waiting:
            symbol = waiting[-1]
            missing = [each for each in _symbols(symbol) if id(each) not in done]
            if missing:
                waiting += reversed(missing)
                continue
            waiting.pop()
            if id(symbol) not in done:
                done.add(id(symbol))
                yield symbol


def _symbols(symbol: Symbol) -> list[Symbol]:
    return [each for each in symbol.inputs if isinstance(each, Symbol)]


OPERATORS = {
    "add": "{} + {}",
    "subtract": "{} - {}",
    "multiply": "{} * {}",
    "divide": "{} / {}",
    "power": "{} ** {}",
    "negative": "-{}",
    "square": "{0} * {0}",
    "sqrt": "math.sqrt({})",
    "absolute": "abs({})",
    "greater": "{} > {}",
    "greater_equal": "{} >= {}",
    "less": "{} < {}",
    "less_equal": "{} <= {}",
    "equal": "{} == {}",
    "where": "{1} if {0} else {2}",
}


def loop(formula: Formula, block: int) -> str:
    """The source of the formula as a function `step(start, stop, theta, gradients, *moments, *scalars)` for Numba.

    As in NumPy, numbers are worked out in float64 and, where they meet an array, rounded to its dtype. A result is kept
    in a variable and written last: read again from memory just after it was written there, where it does not lie on a
    vector's boundary, it makes Adam's step twice as slow.
    """
    arrays = ("theta", *(f"moment{k}" for k in range(len(formula.moments))))
    numbers = [f"n{k}" for k in range(len(formula.scalars))]
    names: dict[Any, str] = dict(zip(("theta", *formula.moments), (f"{array}_i" for array in arrays), strict=True))
    names |= {"g": "g_i"} | dict(zip(formula.scalars, numbers, strict=True))
    before: list[str] = []
    inside: list[str] = []
    rounded: dict[str, str] = {}

    def number(value: Any) -> str:
        """How a symbol, or a number before it is rounded, is written."""
        return names[id(value)] if isinstance(value, Symbol) else repr(float(value))

    def element(value: Any) -> str:
        """How a symbol or a number is written in the loop."""
        text = number(value)
        if isinstance(value, Symbol) and not value.scalar:
            return text
        if text not in rounded:
            rounded[text] = f"r{len(rounded)}"
            before.append(f"{rounded[text]} = real({text})")
        return rounded[text]

    for symbol in formula.operations():
        if symbol.operation == "argument":
            names[id(symbol)] = names[symbol.inputs[0]]
            continue
        written = [(number if symbol.scalar else element)(each) for each in symbol.inputs]
        if symbol.operation == "power" and isinstance(symbol.inputs[1], int):
            written[1] = repr(symbol.inputs[1])
        pattern = OPERATORS.get(symbol.operation, f"np.{symbol.operation}({', '.join(['{}'] * len(written))})")
        name = names[id(symbol)] = f"{'s' if symbol.scalar else 'x'}{len(names)}"
        (before if symbol.scalar else inside).append(f"{name} = {pattern.format(*written)}")
    results = [f"{array}_[i] = {element(output)}" for array, output in zip(arrays, formula.outputs, strict=True)]
    read = [f"{array}_i = {array}_[i]" for array in arrays]
    lines = [
        f"def step(start, stop, {', '.join((*arrays[:1], 'gradients', *arrays[1:], *numbers))}):",
        "    real = theta.dtype.type",
        *(f"    {line}" for line in before),
        f"    g_ = np.empty({block}, theta.dtype)",
        f"    for first in range(start, stop, {block}):",
        f"        end = min(first + {block}, stop)",
        "        sum_gradients(gradients, first, end, g_)",
        *(f"        {array}_ = {array}[first:end]" for array in arrays),
        "        for i in range(len(theta_)):",
        *(f"            {line}" for line in (*read, "g_i = g_[i]", *inside, *results)),
    ]
    return "\n".join(lines) + "\n"
