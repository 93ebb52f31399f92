"""Follows a derivation line by line, in numbers: what is new is worked out, and what is known must come out equal."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tests.formulas.values import FUNCTIONS, STEP, apart, indices, key, numbered, value

from firstlight.formulas import Derivation, FormulaError, Step, parse
from firstlight.formulas.notation import Call, Group, Name, Node, Qualified, Relation, Script

TOLERANCE = 2e-6


class WrongStepError(AssertionError):
    """A line of a derivation of which the numbers are not equal."""


def lines(derivation: Derivation) -> Iterator[str]:
    """The formulas of a derivation, each with those that go on from it."""
    whole = ""
    for step in derivation:
        if isinstance(step, Step):
            if step.formula.startswith("="):
                whole += f" {step.formula}"
                continue
            if whole:
                yield whole
            whole = step.formula
    if whole:
        yield whole


@dataclass
class Scope:
    """The numbers of a component at one place.

    given   what may be moved: x, the parameters; arrays have the batch as their last axis, or none
    made    what follows from it, such as y
    fixed   what does not move with it: gradients, options
    sizes   of each index, how many values it has
    """

    given: Mapping[str, Any]
    made: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    defined: list[tuple[Node, Node]] = field(default_factory=list)
    found: dict[Any, Any] = field(default_factory=dict)

    def names(self, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """All names, at another place where one is given."""
        given = self.given if given is None else given
        names = {"e": np.e, "π": np.pi, **self.fixed, **given, **self.made(given)}
        names |= {"∂": self._partial, "′": self._derivative, "δ": np.eye(8)}
        for left, right in self.defined:
            names |= self._definition(left, right, names)
        return names

    def follow(self, text: str) -> None:
        """Take one line: define what is new in it, and raise WrongStepError where what is known differs."""
        node = parse(text)
        node = node.body if isinstance(node, Qualified) else node
        if not isinstance(node, Relation):
            raise FormulaError(f"{text!r} says nothing of anything.")
        if "≈" in node.signs:
            return
        names = self.names()
        if node.signs[0] == "+=":
            left, right = node.sides
            self._must_agree(text, names[key(_base(left))], self._gathered(left, right, names))
            return
        if node.signs[0] == "=" and self._is_new(node.sides[0], names):
            self.defined.append((node.sides[0], node.sides[1]))
            names = self.names()
        free = [name for name in indices(node.sides[0], self.sizes) if name not in names]
        for place in itertools.product(*(range(self.sizes[name]) for name in free)):
            here = {**names, **dict(zip(free, place, strict=True))}
            if isinstance(node.sides[0], Call) and isinstance(node.sides[0].argument, Group):
                here = {**self._arguments(node.sides[0]), **here}
            known, *others = (value(side, here, self.sizes) for side in node.sides)
            for other in others:
                self._must_agree(text, known, other)

    def _must_agree(self, text: str, known: Any, other: Any) -> None:
        known, other = np.asarray(known, float), np.asarray(other, float)
        size = max(1.0, float(np.max(np.abs(known))))
        alike = np.ndim(known) == 0 or np.ndim(other) == 0 or np.shape(known) == np.shape(other)
        if not alike or not np.all(np.abs(known - other) <= TOLERANCE * size):
            raise WrongStepError(f"{text}: {known} and {other}")

    def _gathered(self, left: Node, right: Node, names: Mapping[str, Any]) -> Any:
        """What `left += right` makes of zeros, over all indices."""
        assert isinstance(left, Script)
        found = np.zeros_like(names[key(left.base)])
        free = [name for name in indices((left, right), self.sizes) if name not in names]
        for place in itertools.product(*(range(self.sizes[name]) for name in free)):
            here = {**names, **dict(zip(free, place, strict=True))}
            at = tuple(int(value(each, here, self.sizes)) for each in apart(left.below))
            found[at] += value(right, here, self.sizes)
        return found

    def _is_new(self, left: Node, names: Mapping[str, Any]) -> bool:
        if isinstance(left, Call):
            return isinstance(left.function, Name) and left.function.text not in {*names, *FUNCTIONS}
        if isinstance(left, Script) and left.primes:
            return False
        base, number = _base(left), numbered(left)
        if number and not indices(left, self.sizes):
            return number not in names
        return isinstance(base, Name) and key(base) not in names and numbered(left) not in names

    def _definition(self, left: Node, right: Node, names: dict[str, Any]) -> dict[str, Any]:
        if isinstance(left, Call):
            assert isinstance(left.argument, Group)
            (argument,) = left.argument.entries
            return {key(left.function): lambda x: value(right, {**names, key(argument): x}, self.sizes)}
        if numbered(left) and not indices(left, self.sizes):
            return {numbered(left): value(right, names, self.sizes)}
        free = [name for name in indices(left, self.sizes) if name not in names]
        found: Any = value(right, names, self.sizes) if not free else None
        for place in itertools.product(*(range(self.sizes[name]) for name in free)) if free else ():
            element = value(right, {**names, **dict(zip(free, place, strict=True))}, self.sizes)
            if found is None:
                found = np.zeros((*(self.sizes[name] for name in free), *np.shape(element)))
            found[place] = element
        squared = isinstance(left, Script) and left.above is not None
        return {key(_base(left)): np.sqrt(found) if squared else found}

    def _arguments(self, call: Call) -> dict[str, Any]:
        """Numbers for the arguments of a function that is spoken of, where they have none."""
        assert isinstance(call.argument, Group)
        return {key(each): np.array([0.3, 0.7]) for each in call.argument.entries if isinstance(each, Name)}

    def _moved(self, by: str, at: tuple[Any, ...], of: str) -> Any:
        """The derivative of all that is called `of` by one number, of each image of the batch, of `by`."""
        here = (by, at, len(self.defined))
        if here not in self.found:
            moved = [np.array(self.given[by], float) for _ in range(2)]
            moved[0][at] += STEP
            moved[1][at] -= STEP
            self.found[here] = [self.names({**self.given, by: each}) for each in moved]
        after, before = self.found[here]
        return (after[of] - before[of]) / (2 * STEP)

    def _partial(self, y: str, i: tuple[int, ...], x: str, j: tuple[int, ...]) -> Any:
        return self._moved(x, j, y)[i]

    def _derivative(self, y: str) -> Any:
        """Of a function of each number of x by itself, at all of them."""
        return self._moved("x", (...,), y)


def _base(node: Node) -> Node:
    return node.base if isinstance(node, Script) else node
