"""Where the values of a net lie: one block of memory, in which values share a place that are not needed at once.

The places are chosen greedily, the largest first (Pisarchyk & Lee 2020, "Efficient memory management for deep neural
net inference", greedy by size).
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from firstlight.export.c.integer_operations import Int8Add, Int8BatchNorm, Int8Table, Rectified
from firstlight.export.inference_graph import PROBABILITIES, STRANGENESS, Activate, Add, BatchNorm, Operation, Reshape

RENAMES = (Reshape, Rectified)  # the result is what was read, under another name
IN_PLACE = (Activate, Add, BatchNorm, Int8Table, Int8Add, Int8BatchNorm)  # may write the result over what they read


@dataclass
class Place:
    """Memory for some values: so many elements, needed from one operation to another."""

    size: int
    first: int
    last: int
    start: int = 0

    def meets(self, other: Place) -> bool:
        """Whether both are needed at once."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class MemoryPlan:
    """Where each value begins, but for the image and the probabilities, and the size of it all, in elements."""

    start: Mapping[str, int]
    size: int


def planned(operations: Sequence[Operation], names: Container[str]) -> MemoryPlan:
    """The plan for those values that `names` has; the others, and what is answered, lie elsewhere."""
    last = {name: number for number, one in enumerate(operations) for name in one.inputs}
    held: dict[str, Place] = {}
    places: list[Place] = []
    for number, one in enumerate(operations):
        if one.output in (PROBABILITIES, STRANGENESS) or one.output not in names:
            continue
        until, size = last.get(one.output, number), math.prod(one.shape)
        place = _taken_over(one, number, held)
        if place is None or place.size != size:
            place = Place(size, number, until)
            places.append(place)
        place.last = max(place.last, until)
        held[one.output] = place
    _arrange(places)
    size = max((place.start + place.size for place in places), default=0)
    return MemoryPlan({name: place.start for name, place in held.items()}, size)


def _taken_over(one: Operation, number: int, held: Mapping[str, Place]) -> Place | None:
    """The place of an input that the result may have."""
    inputs = [held[name] for name in one.inputs if name in held]
    if isinstance(one, RENAMES):
        return inputs[0] if inputs else None
    if isinstance(one, IN_PLACE):
        return next((place for place in inputs if place.last <= number), None)
    return None


def _arrange(places: Sequence[Place]) -> None:
    """Give each place its start: the lowest at which it meets none of those that are larger."""
    arranged: list[Place] = []
    for place in sorted(places, key=lambda place: (-place.size, place.first)):
        start = 0
        for other in sorted((other for other in arranged if other.meets(place)), key=lambda other: other.start):
            if start + place.size <= other.start:
                break
            start = max(start, other.start + other.size)
        place.start = start
        arranged.append(place)
