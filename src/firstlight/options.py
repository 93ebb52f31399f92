"""The keys and values of an experiment: what a value must be in words, tables key by key, docstrings name by name."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, SupportsIndex

_SIDE = r"\d{1,18}"  # of an image; Python refuses to read thousands of digits
_WANTED = {
    "int_type": "must be an integer",
    "int_parsing": "must be an integer",
    "int_parsing_size": "must be an integer of fewer digits",
    "int_from_float": "must be an integer",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a string, in quotes",
    "list_type": "must be a list, such as [1, 2]",
    "tuple_type": "must be a list, such as [1, 2]",
    "dict_type": "must be a table, such as {{ key = 1 }}",
    "model_type": "must be a table, such as {{ key = 1 }}",
    "model_attributes_type": "must be a table, such as {{ key = 1 }}",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be below {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "may have letters, digits, and . + = - _ after the first character",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
}


def wanted(problem: Mapping[str, Any]) -> str:
    """What a value must be that pydantic refuses, in a few words: "must be an integer"."""
    text = _WANTED.get(problem["type"])
    if text is not None:
        return text.format(**problem.get("ctx", {}))
    return str(problem["msg"]).removeprefix("Value error, ")


def flat(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested tables under their whole keys: ("model.name", "lenet5")."""
    for key, value in tables.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def documented(doc: str | None) -> dict[str, str]:
    """What a docstring says of its names, where it lists them, each beside its text and two spaces apart or more."""
    return split_docstring(doc)[1]


def split_docstring(doc: str | None) -> tuple[str, dict[str, str]]:
    """What a docstring says besides, and what it says of the names that it lists; see `documented`."""
    others: list[str] = []
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in inspect.cleandoc(doc or "").splitlines():
        if found := re.match(r"(\w+(?:, \w+)*) {2,}(\S.*)", line):
            names = found[1].split(", ")
            texts |= dict.fromkeys(names, found[2])
        elif names and line.startswith("  "):
            texts |= {name: f"{texts[name]} {line.strip()}" for name in names}
        else:
            names = []
            others.append(line)
    return "\n".join(others).strip(), texts


def read_sides(text: str) -> list[int] | None:
    """The sides in "28x28" or "32×32×3"; None where the text is not of that form."""
    plain = text.strip().lower().replace("×", "x")
    return [int(side) for side in plain.split("x")] if re.fullmatch(rf"{_SIDE}(x{_SIDE})*", plain) else None


def read_size(value: Any) -> tuple[Any, Any] | None:
    """A height and a width: of 28 or "28" (a square), of "28x32", or of [28, 32], whose sides are not checked.

    None stays None. Raises ValueError.
    """
    if value is None:
        return None
    sides: Sequence[Any] | None = None
    if isinstance(value, str):
        sides = read_sides(value)
    elif isinstance(value, SupportsIndex) and not isinstance(value, bool):
        sides = [value]
    elif isinstance(value, list | tuple) and len(value) == 2:
        sides = value
    if not sides or len(sides) > 2:
        raise ValueError("a size is a height and a width, as in 28, [28, 32] or 28x32")
    return sides[0], sides[-1]


def is_number(value: object) -> bool:
    """Whether `value` is a finite number, also as a float: an integer of 400 digits is not."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
