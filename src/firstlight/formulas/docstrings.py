"""The formulas of a component, read from its own docstring."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from firstlight.formulas.notation import Call, FormulaError, Name, Node, Qualified, Reader, Relation, Script, tokens
from firstlight.options import split_docstring

WORDS = frozenset({"lr", "rows", "columns"})  # names in formulas, beside a component's options


@dataclass(frozen=True)
class Formulas:
    """The formulas of a component, each a text that `mathml` typesets.

    forward   what it gives: y of a layer, L of a loss, the steps ← of an optimizer
    backward  the gradients: dx, dW, … by the gradient dy that comes in
    where     what other names in them are
    """

    forward: tuple[str, ...] = ()
    backward: tuple[str, ...] = ()
    where: tuple[str, ...] = ()


def formulas_of(component: Any) -> Formulas:
    """The formulas in the docstring of a component, a class or a value; of one that has none, none.

    A formula begins with a name and = or ←, at the start or after a word, a comma, a semicolon, a colon or a full stop,
    and goes as far as the notation does: words that are no options of the component end it.
    """
    kind = component if isinstance(component, type) else type(component)
    return _read(vars(kind).get("__doc__"), frozenset(getattr(kind, "__dataclass_fields__", ())))


@cache
def _read(docstring: str | None, options: frozenset[str]) -> Formulas:
    """The formulas of a docstring: it is read once, and asked for with each image that is looked at."""
    about = split_docstring(docstring)[0]
    found: dict[str, list[str]] = {"forward": [], "backward": [], "where": []}
    for part in re.split(r"\s{2,}", about):
        for text, node in _formulas(part, WORDS | options):
            found[_role(node)].append(re.sub(r"\s+", " ", text))
    return Formulas(**{role: tuple(texts) for role, texts in found.items()})


def _formulas(text: str, words: Container[str]) -> Iterator[tuple[str, Relation]]:
    """The formulas in a text, with what is defined by each."""
    behind, before = 0, ""
    for token in tokens(text):
        begins = not before or before in (",", ";", ":", ".") or (before.isalpha() and before not in words)
        if begins and token.start >= behind:
            reader = Reader(text, words, token.start)
            try:
                node = reader.formula()
            except FormulaError:
                node = None
            relation = node.body if isinstance(node, Qualified) else node
            if isinstance(relation, Relation) and _defines(relation) and _ends(reader):
                behind = reader.behind
                yield text[token.start : behind], relation
        before = token.text


def _defines(relation: Relation) -> bool:
    goes_on = len(relation.signs) == len(relation.sides)
    return not goes_on and relation.signs[0] in ("=", "←", "+=") and _left(relation) is not None


def _ends(reader: Reader) -> bool:
    return reader.token.kind in ("end", "word") or reader.token.text in (",", ";", ":", ".")


def _left(relation: Relation) -> Name | None:
    """The name that a relation says something of, without its indices and arguments."""
    side: Node = relation.sides[0]
    while isinstance(side, Script | Call):
        side = side.base if isinstance(side, Script) else side.function
    return side if isinstance(side, Name) else None


def _role(relation: Relation) -> str:
    left = _left(relation)
    assert left is not None
    if left.gradient:
        return "backward"
    return "forward" if relation.signs[0] == "←" or left.text in ("y", "L") else "where"
