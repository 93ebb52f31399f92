"""The `[matrix]` of a study file: every combination of its values, and what runs are called after them."""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from firstlight.experiments.search.space import leaves

LONGEST = 60  # characters of a table in a run's name


def _flat(matrix: Any) -> Any:
    """`optimizer.lr = […]`, which TOML nests, as one key with its dots."""
    if not isinstance(matrix, Mapping):
        return matrix
    flat = dict[str, Any]()
    for key, values in leaves(matrix):
        if key in flat:
            raise ValueError(f"{key} is given twice")
        flat[key] = values
    return flat


Matrix = Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], BeforeValidator(_flat)]


def combinations(matrix: Mapping[str, Sequence[Any]]) -> list[dict[str, tuple[Any, str]]]:
    """Every combination: by key, a value and what it is called in the run's name."""
    columns = [zip(values, _called(values), strict=True) for values in matrix.values()]
    return [dict(zip(matrix, values, strict=True)) for values in itertools.product(*columns)]


def _called(values: Sequence[Any]) -> list[str]:
    """The values of a key of the matrix as parts of folders' names: tables by their names where those differ."""
    brief = [_in_a_name(value) for value in values]
    return brief if len(set(brief)) == len(brief) else [_in_a_name(value, whole=True) for value in values]


def _in_a_name(value: Any, whole: bool = False) -> str:
    """A value of the matrix as a part of a folder's name; a `whole` table with what it says beside its name."""
    if isinstance(value, Mapping):
        if "name" in value and not whole:
            return _in_a_name(value["name"])
        said = (part for key, inner in value.items() for part in ((inner,) if key == "name" else (key, inner)))
        text = "-".join(_in_a_name(part, whole) for part in said) or "none"
        return text if len(text) <= LONGEST else f"{text[: LONGEST - 9]}-{zlib.crc32(text.encode()):08x}"
    if isinstance(value, list):
        return "x".join(_in_a_name(part, whole) for part in value)
    text = f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
    return re.sub(r"[^\w.+-]+", "-", text)
