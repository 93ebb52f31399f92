"""What formulas of docstrings amount to in numbers, by the plainest means: loops over indices, one number at a time."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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

LOWERED = str.maketrans("0123456789ntki", "₀₁₂₃₄₅₆₇₈₉ₙₜₖᵢ")
NUMBERS = {"∞": math.inf, "½": 0.5, "…": 1.0}  # what is left out of a product is nothing
STEP = 1e-6  # of central differences
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
    "=": lambda a, b: np.all(np.equal(a, b)),
    "≠": np.not_equal,
    "<": np.less,
    ">": np.greater,
    "≤": np.less_equal,
    "≥": np.greater_equal,
}


@dataclass(frozen=True)
class Located:
    """A name that stands for another number at each place: an element of an array by indices that need not be said."""

    array: Any
    by: tuple[str, ...]


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
            return _named(names[key(node)], names)
        case Script():
            return _script(node, names, sizes)
        case Group("|", (inner,)):
            return np.abs(of(inner))
        case Group("‖", (inner,)):
            return np.linalg.norm(of(inner))
        case Group("⌊", (inner,)):
            return int(of(inner) // 1)
        case Group(_, (inner,)):
            return of(inner)
        case Group("[", entries, ";"):
            return np.concatenate([of(entry) for entry in entries if entry != Number("…")])
        case Group(_, entries):
            return np.array([of(entry) for entry in entries])
        case Call(function, Group(_, entries)):
            return _function(function, names)(*map(of, entries))
        case Call(function, argument):
            return _function(function, names)(of(argument))
        case Root(body):
            return np.sqrt(of(body))
        case Fraction(Partial(over), Partial(under)):
            (y, i), (x, j) = (_located(each, of) for each in (over, under))
            return names["∂"](y, i, x, j)
        case Fraction(over, under):
            return of(over) / of(under)
        case Product(factors, signs):
            return _product(factors, of) if "∗" not in signs else names["∗"](*map(of, factors))
        case Sum(terms):
            return functools.reduce(_added, ((-1 if sign == "−" else 1) * of(term) for sign, term in terms))
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


def indices(node: Any, known: Mapping[str, Any]) -> list[str]:
    """The names in a formula that are of those `known`, each once."""
    if isinstance(node, Name):
        return [node.text] if not node.gradient and node.text in known else []
    parts = node if isinstance(node, tuple) else vars(node).values() if hasattr(node, "__dict__") else ()
    return list(dict.fromkeys(itertools.chain.from_iterable(indices(part, known) for part in parts)))


def _named(found: Any, names: Mapping[str, Any]) -> Any:
    return found.array[tuple(names[index] for index in found.by)] if isinstance(found, Located) else found


def _located(node: Node, of: Callable[[Node], Any]) -> tuple[str, tuple[int, ...]]:
    """A name, and the values of its indices."""
    if isinstance(node, Script):
        return key(node.base), tuple(int(of(each)) for each in apart(node.below))
    return key(node), ()


def _product(factors: tuple[Node, ...], of: Callable[[Node], Any]) -> Any:
    """The factors, multiplied from the last to the first: matrices as such, and others number by number."""
    found = of(factors[-1])
    for left, right in reversed([*itertools.pairwise(factors)]):
        other = of(left)
        by_matrix = (_is_matrix(left) or _is_matrix(right)) and np.ndim(other) == 2 and np.ndim(found) > 0
        found = np.tensordot(other, found, 1) if by_matrix else _of_each_image(other, found) * found
    return found


def _is_matrix(node: Node) -> bool:
    """Whether it is written as one: a capital letter without indices, or something transposed."""
    if isinstance(node, Script):
        return node.above == Name("T") or (bool(numbered(node)) and _is_matrix(node.base))
    return isinstance(node, Name) and node.text.isupper() and not node.gradient


def _added(a: Any, b: Any) -> Any:
    return a + _of_each_image(b, a)


def _of_each_image(a: Any, like: Any) -> Any:
    """A vector beside an array with further axes, such as that of the images: the same number along these."""
    further = np.ndim(a) == 1 and np.ndim(like) > 1 and len(a) == len(like) != np.shape(like)[-1]
    return a.reshape(-1, *[1] * (np.ndim(like) - 1)) if further else a


def _function(function: Node, names: Mapping[str, Any]) -> Callable[..., Any]:
    if isinstance(function, Name) and function.text in FUNCTIONS:
        return FUNCTIONS[function.text]
    if isinstance(function, Script) and function.primes:
        inner = _function(function.base, names)
        return lambda x: (inner(x + STEP) - inner(x - STEP)) / (2 * STEP)
    found: Callable[..., Any] = names[numbered(function) or key(function)]
    return found


def apart(below: tuple[Node, ...]) -> tuple[Node, ...]:
    """Indices one by one, also where they stand close together: ij are i and j."""
    (first, *others) = below
    close = isinstance(first, Product) and not others and not any(first.signs)
    return first.factors if isinstance(first, Product) and close else below


def numbered(node: Node) -> str:
    """What a name with a number is called, such as β₁ or xₙ; nothing where it has none."""
    if isinstance(node, Script) and isinstance(node.base, Name) and len(node.below) == 1 and not node.primes:
        (below,) = node.below
        if isinstance(below, Number | Name):
            return key(node.base) + below.text.translate(LOWERED)
    return ""


def _script(node: Script, names: Mapping[str, Any], sizes: Mapping[str, int]) -> Any:
    if (name := numbered(node)) in names:
        found = _named(names[name], names)
    else:
        found = names["′"](key(node.base)) if node.primes else value(node.base, names, sizes)
        if node.below:
            found = found[tuple(int(value(each, names, sizes)) for each in apart(node.below))]
    if isinstance(node.above, Name) and node.above.text == "T":
        return found.T
    return found if node.above is None else found ** value(node.above, names, sizes)


def _big(node: Big, names: Mapping[str, Any], sizes: Mapping[str, int]) -> Any:
    over_all: dict[str, Callable[..., Any]] = {"Σ": np.sum, "Π": np.prod, "max": np.max, "min": np.min}
    by = over_all[node.sign]
    used, ranges = indices(node.body, {**sizes, "n": 0}), {}
    for below in node.below:
        if node.above is not None and isinstance(below, Relation):
            first, last = (int(value(each, names, sizes)) for each in (below.sides[1], node.above))
            ranges[key(below.sides[0])] = range(first, last + 1)
        else:
            over = [name for name in indices(below, sizes) if name not in names]
            ranges |= {name: range(sizes[name]) for name in over if name != "n" or name in used}
    conditions = [each for each in node.below if isinstance(each, Relation) and node.above is None]
    found = []
    for place in itertools.product(*ranges.values()):
        inner = {**names, **dict(zip(ranges, place, strict=True))}
        if all(value(condition, inner, sizes) for condition in conditions):
            found.append(value(node.body, inner, sizes))
    result = by(np.array(found), axis=0) if ranges else found[0]
    # The batch is the last axis of each array, and its index n is left out.
    over_batch = not node.below or (Name("n") in node.below and "n" not in used)
    return by(result, axis=-1) if over_batch else result
