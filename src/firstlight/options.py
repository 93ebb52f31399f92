"""What an experiment chooses by name, with options: the one in a registry, checked; and its tables, key by key."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from firstlight.errors import ExperimentError, nearest

Chosen = TypeVar("Chosen")


def choose(kind: str, registry: Mapping[str, type[Chosen]], name: str, options: Mapping[str, Any]) -> Chosen:
    """The `kind` ("optimizer") called `name`, with its options.

    Raises ExperimentError for an unknown name or option, with the nearest that exists.
    """
    if name not in registry:
        raise ExperimentError(f"{kind}: there is none called {name!r}. {nearest(str(name), registry)}")
    known = [field.name for field in fields(registry[name])]  # type: ignore[arg-type]
    for option in options:
        if option not in known:
            raise ExperimentError(f"{kind}.{option}: {name} has no such option. {nearest(option, known)}".rstrip())
    return registry[name](**options)


def flat(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested tables under their whole keys: ("model.name", "lenet5")."""
    for key, value in tables.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def documented(doc: str | None) -> dict[str, str]:
    """What a docstring says of its names, where it lists them, each beside its text and two spaces apart or more."""
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
    return texts


def require_number(kind: str, option: str, value: object, fits: Callable[[float], bool], allowed: str) -> None:
    """Raise ExperimentError unless `value` is a finite number that fits; `allowed` says in words what does."""
    if not is_number(value) or not fits(value):  # type: ignore[arg-type]
        raise ExperimentError(f"{kind}.{option} must be {allowed}; received {value!r}.")


def is_number(value: object) -> bool:
    """Whether `value` is a finite number, also as a float: a whole number of 400 digits is not."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
