"""What formulas of docstrings amount to in numbers, by the plainest means: loops over indices, one number at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from firstlight.formulas.notation import (
    Big,
    Call,
    Cases,
    Fraction,
    Group,
    Name,
    Node,
    Number,
    Partial,
    Product,
    Qualified,
    Relation,
    Root,
    Script,
    Sum,
)

LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
NUMBERS = {"∞": math.inf, "½": 0.5}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "sign": np.sign,
    "max": np.maximum,
    "min": np.minimum,
    "softmax": lambda y: np.exp(y - y.max(axis=0)) / np.exp(y - y.max(axis=0)).sum(axis=0),
}
COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "=": np.equal,
    "≠": np.not_equal,
    "<": np.less,
    ">": np.greater,
    "≤": np.less_equal,
    "≥": np.greater_equal,
}


def value(node: Node, names: Mapping[str, Any], sizes: Mapping[str, int] | None = None) -> Any:
    """The value of a formula.

    names  numbers, arrays or functions; "d" before the name of a gradient, ′ behind one of a derivative, and "∂y/∂x"
           for an array with the indices of both
    sizes  of each index, how many values it has, from 0
    """
    sizes = sizes or {}

    def of(inner: Node) -> Any:
        return value(inner, names, sizes)

    match node:
        case Number(text):
            return NUMBERS.get(text) or float(text)
        case Name():
            return names[key(node)]
        case Script():
            return _script(node, names, sizes)
        case Group("|", (inner,)):
            return np.abs(of(inner))
        case Group("⌊", (inner,)):
            return int(of(inner) // 1)
        case Group(_, (inner,)):
            return of(inner)
        case Call(function, Group(_, entries)):
            return _function(function, names)(*map(of, entries))
        case Call(function, argument):
            return _function(function, names)(of(argument))
        case Root(body):
            return np.sqrt(of(body))
        case Fraction(Partial(Script(over, i)), Partial(Script(under, j))):
            return names[f"∂{key(over)}/∂{key(under)}"][tuple(int(of(each)) for each in (*i, *j))]
        case Fraction(Partial(over), Partial(under)):
            return names[f"∂{key(over)}/∂{key(under)}"]
        case Fraction(over, under):
            return of(over) / of(under)
        case Product(factors):
            return _product(factors, of)
        case Sum(terms):
            return sum((-1 if sign == "−" else 1) * of(term) for sign, term in terms)
        case Big():
            return _big(node, names, sizes)
        case Relation(sides, signs):
            return np.logical_and.reduce(
                [COMPARED[sign](of(a), of(b)) for sign, (a, b) in zip(signs, itertools.pairwise(sides), strict=True)]
            )
        case Cases(branches, otherwise):
            found = of(otherwise)
            for branch, condition in reversed(branches):
                found = np.where(of(condition), of(branch), found)
            return found
        case Qualified(body):
            return of(body)
    raise NotImplementedError(node)


def key(node: Node) -> str:
    """What a name is called."""
    if isinstance(node, Script) and node.primes:
        return key(node.base) + "′" * node.primes
    assert isinstance(node, Name), node
    return ("d" if node.gradient else "") + node.text + node.accents


def indices(below: tuple[Node, ...]) -> Iterator[str]:
    """The indices that are summed over: of i, ij, (i, j), k ≠ j and i = 1."""
    for node in below:
        match node:
            case Name(text):
                yield text
            case Product(factors):
                yield from indices(factors)
            case Relation((first, *_)):
                yield from indices((first,))


def _product(factors: tuple[Node, ...], of: Callable[[Node], Any]) -> Any:
    """The factors, multiplied one after another: matrices and vectors as such, others number by number."""
    found, *others = map(of, factors)
    for other in others:
        both = np.ndim(found) == 2 and np.ndim(other) == 2 and np.shape(found) != np.shape(other)
        found = found @ other if both else found * other
    return found


def _function(function: Node, names: Mapping[str, Any]) -> Callable[..., Any]:
    if isinstance(function, Name) and function.text in FUNCTIONS:
        return FUNCTIONS[function.text]
    found: Callable[..., Any] = names[key(function)]
    return found


def _script(node: Script, names: Mapping[str, Any], sizes: Mapping[str, int]) -> Any:
    if isinstance(node.base, Name) and len(node.below) == 1 and isinstance(node.below[0], Number):
        numbered = key(node.base) + node.below[0].text.translate(LOWERED)  # a name such as β₁
        found = names[numbered]
    else:
        base = Script(node.base, primes=node.primes) if node.primes else node.base
        found = names[key(base)] if node.primes else value(base, names, sizes)
        if node.below:
            found = found[tuple(int(value(each, names, sizes)) for each in node.below)]
    if isinstance(node.above, Name) and node.above.text == "T":
        return found.T
    return found if node.above is None else found ** value(node.above, names, sizes)


def _big(node: Big, names: Mapping[str, Any], sizes: Mapping[str, int]) -> Any:
    over_all: dict[str, Callable[..., Any]] = {"Σ": np.sum, "Π": np.prod, "max": np.max, "min": np.min}
    by = over_all[node.sign]
    over = [*indices(node.below)]
    if not over:
        return by(value(node.body, names, sizes))
    found = []
    first, last = 0, None
    if node.above is not None:
        (relation,) = node.below
        assert isinstance(relation, Relation)
        first, last = int(value(relation.sides[1], names, sizes)), int(value(node.above, names, sizes)) + 1
    for place in itertools.product(*(range(first, last or sizes[name]) for name in over)):
        inner = {**names, **dict(zip(over, place, strict=True))}
        if node.above is None and not all(value(each, inner) for each in node.below if isinstance(each, Relation)):
            continue
        found.append(value(node.body, inner, sizes))
    return by(np.array(found), axis=0)
