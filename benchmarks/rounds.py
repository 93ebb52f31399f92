"""Turns in the order A B C A B C …, and what is made of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

TURN = 0.3  # seconds, at least
PAUSE = 0.02  # seconds before each turn: whoever was measured last has come to rest


class Summary(NamedTuple):
    """Of n turns the median, and half the interquartile range as the spread."""

    median: float
    spread: float
    n: int


class Ratio(NamedTuple):
    """How many times longer the peer takes: by the medians, and the median of the rounds' own ratios."""

    of_medians: float
    of_rounds: float


def summary(values: Sequence[float]) -> Summary:
    """Raises ValueError for no values, or for one that is not a positive number."""
    if not values or not all(math.isfinite(value) and value > 0 for value in values):
        raise ValueError(f"A measurement is a positive number; received {list(values)}.")
    low, middle, high = np.percentile(values, (25, 50, 75)).tolist()
    return Summary(middle, (high - low) / 2, len(values))


def ratio(peer: Sequence[float], own: Sequence[float]) -> Ratio:
    """`peer` over `own`, turn by turn of the same rounds. Raises ValueError where the rounds differ in number."""
    each = [theirs / ours for theirs, ours in zip(peer, own, strict=True)]
    return Ratio(summary(peer).median / summary(own).median, statistics.median(each))


def fastest(turns: Mapping[str, Sequence[float]], names: Sequence[str]) -> str | None:
    """Which of `names` has the least median; None where none of them was measured."""
    measured = [name for name in names if name in turns]
    return min(measured, key=lambda name: summary(turns[name]).median) if measured else None


def repeats(seconds: float, turn: float = TURN) -> int:
    """How often something that takes `seconds` is done in a turn."""
    return max(1, math.ceil(turn / seconds))


def alternate(
    takers: Mapping[str, Callable[[], float]], rounds: int, pause: Callable[[], None]
) -> dict[str, list[float]]:
    """What each answered in each round; all take their turn before one takes the next."""
    turns: dict[str, list[float]] = {name: [] for name in takers}
    for _ in range(rounds):
        for name, take in takers.items():
            pause()
            turns[name].append(take())
    return turns
