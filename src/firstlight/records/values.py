"""What values of the records must be: the kinds that several of them use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from firstlight.records.codec import Must

LARGEST_SIDE = 65_535  # pixels
TOLERANCE = 1e-6  # of a number that follows from others

Count = Annotated[int, Must("an integer of at least 0", lambda number: number >= 0)]
AtLeastOne = Annotated[int, Must("an integer of at least 1", lambda number: number >= 1)]
Share = Annotated[float, Must("a number from 0 to 1", lambda number: 0 <= number <= 1)]
Positive = Annotated[float, Must("a number of at least 0", lambda number: number >= 0)]
Side = Annotated[int, Must(f"an integer from 1 to {LARGEST_SIDE}", lambda number: 1 <= number <= LARGEST_SIDE)]
Shape = tuple[Side, Side, Side]
Names = Annotated[tuple[str, ...], Must("a list of names, each once", lambda names: 0 < len(names) == len(set(names)))]
FileName = Annotated[
    str,
    Must(
        "the name of a folder, and no path",
        lambda name: name not in ("", ".", "..") and not any(letter in name for letter in "/\\\0"),
    ),
]
Table = Mapping[str, Any]


def one_a_class(key: str, numbers: Sequence[Any] | None, names: Sequence[str]) -> None:
    """Raise ValueError where there are numbers, and not one for each class."""
    if numbers and len(numbers) != len(names):
        raise ValueError(f"{key} has {len(numbers)} numbers for {len(names)} classes")
