"""A peer is measured at its best: its ways of computing are tried, and the fastest is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from benchmarks.cases import Case

Way = TypeVar("Way")
SHORT = 0.3  # seconds that are given to a way, at least


def seconds(repeat: Callable[[int], object]) -> float:
    """The shortest of two repeats or more, after a warm-up."""
    repeat(1)
    took: list[float] = []
    while len(took) < 2 or sum(took) < SHORT:
        began = time.perf_counter()
        repeat(1)
        took.append(time.perf_counter() - began)
    return min(took)


def fewer(case: Case, share: int = 8) -> Case:
    """The case with shorter epochs, for trials."""
    return replace(case, steps=max(1, case.steps // share))


def fastest(ways: Iterable[Way], made: Callable[[Way], Callable[[int], None]]) -> Way:
    """The way whose loop, as `made` makes it, takes least time."""
    return min(ways, key=lambda way: seconds(made(way)))
