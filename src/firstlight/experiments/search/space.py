"""What a search draws from: the `[space]` of a tune file, read and checked.

    [space]
    lr = { log = [1e-4, 1e-1] }                # between the two, evenly in the logarithm
    optimizer.lag = { uniform = [0, 0.5] }     # evenly; with step = 0.1 in such steps
    training.batch_size = { log_int = [16, 256] }
    model.filters = { int = [8, 64], step = 8 }
    model.units = [32, 64, [128, 64]]          # one of these values, of any type

A key is one of the experiment file: with its dots, quoted or not, or in nested tables. A key without a dot that is
none of the experiment's own tables or keys stands for the one table that has it: `lr` is optimizer.lr, `batch_size`
training.batch_size; where several tables have it, it must be written out. A list is a choice. A table with one of
`uniform`, `log`, `int` and `log_int` is a range; any other table nests. `points` says how many values a grid takes of
a range that has no steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel

from firstlight.errors import ExperimentError, nearest
from firstlight.experiments.config import Experiment
from firstlight.text import listed

KINDS = {"uniform": (False, False), "log": (True, False), "int": (False, True), "log_int": (True, True)}
CHOICES = 1000  # of a key
EXAMPLES = "{log = [1e-4, 1e-1]}, {uniform = [0, 0.5]}, {int = [16, 256], step = 16}, {log_int = [16, 256]}"


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    @property
    def corners(self) -> tuple[Any, ...]:
        """The values that are tried before anything starts."""
        return self.values

    def grid(self, key: str) -> tuple[Any, ...]:
        """The values that a grid takes."""
        return self.values

    @property
    def count(self) -> int:
        """How many values there are."""
        return len(self.values)

    def each(self) -> Iterator[Any]:
        """All of them."""
        yield from self.values

    def written(self) -> Any:
        """As the tune file has it."""
        return list(self.values)


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    log     drawn evenly in the logarithm
    whole   integers only
    step    the distance of two numbers, if any, counted from `low`
    points  how many numbers a grid takes
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False
    step: float | None = None
    points: int | None = None

    @property
    def corners(self) -> tuple[float, ...]:
        return (self.low, self.high)

    def grid(self, key: str) -> tuple[float, ...]:
        """The values that a grid takes. Raises ExperimentError where the range does not say how many."""
        if self.step is not None or (self.whole and not self.log and self.points is None):
            step = self.step or 1
            count = math.floor((self.high - self.low) / step + 1e-9) + 1
            _must_be_few(key, count)
            values = [self.low + i * step for i in range(count)]
        elif self.points is None:
            raise ExperimentError(
                f"space.{key}: a grid needs to know how many values to take of a range: give points = 5"
                f"{'' if self.log else ', or a step'}."
            )
        else:
            _must_be_few(key, self.points)
            spaced = np.geomspace if self.log else np.linspace
            values = spaced(self.low, self.high, self.points).tolist()
        rounded = [round(value) if self.whole else float(f"{value:.12g}") for value in values]
        return tuple(dict.fromkeys(rounded))

    @property
    def count(self) -> int | None:
        """How many numbers there are; None where they lie dense."""
        step = self.step or (1 if self.whole else None)
        return None if step is None else math.floor((self.high - self.low) / step + 1e-9) + 1

    def each(self) -> Iterator[Any]:
        """All of them, the lowest first; none where they lie dense."""
        for i in range(self.count or 0):
            value = self.low + i * (self.step or 1)
            yield round(value) if self.whole else float(f"{value:.12g}")

    def written(self) -> Any:
        kind = next(name for name, flags in KINDS.items() if flags == (self.log, self.whole))
        extra = {"step": self.step, "points": self.points}
        return {kind: [self.low, self.high], **{key: value for key, value in extra.items() if value is not None}}


Domain = Choice | Range


def parse(tables: Mapping[str, Any]) -> dict[str, Domain]:
    """The domains by their full keys, outer keys first, then by name: their order in the file decides nothing.

    Raises ExperimentError that names the key and what to do.
    """
    space: dict[str, Domain] = {}
    for short, value in leaves(tables):
        key = _full(short)
        if key in space:
            raise ExperimentError(f"space.{short}: {key} is given twice.")
        space[key] = _domain(key, value)
    if not space:
        raise ExperimentError(
            f"There is nothing to search: give keys of the experiment under [space], such as optimizer.lr = {EXAMPLES}."
        )
    return dict(sorted(space.items(), key=lambda item: (item[0].count("."), item[0])))


def leaves(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The keys of nested tables with their dots, and what each is given; a range counts as a value."""
    for name, value in tables.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and not KINDS.keys() & value.keys():
            yield from leaves(value, f"{key}.")
        else:
            yield key, value


def _full(key: str) -> str:
    """The key written out: `lr` is optimizer.lr."""
    if "." in key or key in Experiment.model_fields:
        return key
    owners = []
    for section, field in Experiment.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel) and key in kind.model_fields:
            owners.append(f"{section}.{key}")
    if len(owners) == 1:
        return owners[0]
    if owners:
        raise ExperimentError(f"space.{key}: which one? Write it out: {', '.join(owners)}.")
    hint = nearest(key, Experiment.model_fields)
    raise ExperimentError(
        f"space.{key}: the experiment file has no such key. {hint} An option of what a table names is written out: "
        f"model.{key}, optimizer.{key}, …"
    )


def _domain(key: str, value: Any) -> Domain:
    if isinstance(value, list):
        if not value:
            raise ExperimentError(f"space.{key}: a list of choices needs at least one value; received [].")
        _must_be_few(key, len(value))
        for n, choice in enumerate(value):
            if any(_same(choice, other) for other in value[:n]):
                raise ExperimentError(f"space.{key}: the choice {choice!r} is there twice.")
        return Choice(tuple(value))
    if isinstance(value, Mapping):
        return _range(key, value)
    raise ExperimentError(
        f"space.{key}: a search needs a list of choices, or a range such as {EXAMPLES}; received {value!r}. "
        "A value that stays the same belongs in the experiment itself."
    )


def _must_be_few(key: str, values: int) -> None:
    if values > CHOICES:
        raise ExperimentError(f"space.{key}: {values:,} values are more than a search can try; give up to {CHOICES:,}.")


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def _range(key: str, table: Mapping[str, Any]) -> Range:
    kinds = [kind for kind in KINDS if kind in table]
    if len(kinds) > 1:
        raise ExperimentError(f"space.{key}: give one of {listed(KINDS, 'or')}; received {listed(kinds)}.")
    for option in table:
        if option not in (*KINDS, "step", "points"):
            raise ExperimentError(
                f"space.{key}.{option}: a range has no such option. {nearest(option, (*KINDS, 'step', 'points'))}"
            )
    kind, (log, whole) = kinds[0], KINDS[kinds[0]]
    low, high = _ends(key, kind, table[kind], log, whole)
    step, points = table.get("step"), table.get("points")
    if step is not None:
        if log:
            raise ExperimentError(f"space.{key}.step: a range in the logarithm has no even steps; leave step out.")
        if not _is_number(step, whole) or not 0 < step <= high - low:
            raise ExperimentError(
                f"space.{key}.step must be {'an integer' if whole else 'a number'} above 0 and at most "
                f"{high - low:g}; received {step!r}."
            )
        count = math.floor((high - low) / step + 1e-9)
        high = low + count * step if whole else float(f"{low + count * step:.12g}")
    if points is not None and (not _is_number(points, True) or points < 2):
        raise ExperimentError(f"space.{key}.points must be an integer of at least 2; received {points!r}.")
    return Range(low, high, log, whole, step, points)


def _ends(key: str, kind: str, ends: Any, log: bool, whole: bool) -> tuple[float, float]:
    numbers = "integers" if whole else "numbers"
    pair = isinstance(ends, list) and len(ends) == 2 and all(_is_number(end, whole) for end in ends)
    if not pair or not ends[0] < ends[1]:
        raise ExperimentError(
            f"space.{key}.{kind} must be two {numbers}, the lower one first, as in {EXAMPLES}; received {ends!r}."
        )
    if log and ends[0] <= 0:
        raise ExperimentError(f"space.{key}.{kind}: a logarithm needs numbers above 0; received {ends!r}.")
    low, high = ends
    return (low, high) if whole else (float(low), float(high))


def _is_number(value: Any, whole: bool) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (not whole and isinstance(value, float) and math.isfinite(value))
