"""Values share memory only where they are not needed at once."""

from __future__ import annotations

import math

import pytest
from tests.export.exporting import build, exportable_of, task_of, weights_of

from firstlight.export.c.memory import IN_PLACE, RENAMES, planned
from firstlight.export.inference_graph import PROBABILITIES, Operation, folded


def clashes(operations: list[Operation], start: dict[str, int]) -> list[tuple[str, str]]:
    """Pairs of values that lie over one another while the operations are played.

    What is read must not have been changed, nor be changed meanwhile by an operation that reads a place again.
    """
    sizes = {one.output: math.prod(one.shape) for one in operations}
    content: dict[int, str] = {}
    root: dict[str, str] = {}
    found = []
    for one in operations:
        for name in one.inputs:
            if name in start:
                cells = range(start[name], start[name] + sizes[name])
                found += [(name, content[cell]) for cell in cells if content[cell] != root[name]][:1]
        if one.output in start and not isinstance(one, RENAMES):
            written = range(start[one.output], start[one.output] + sizes[one.output])
            read = {name: range(start[name], start[name] + sizes[name]) for name in one.inputs if name in start}
            over = {name for name, cells in read.items() if cells.start < written.stop and written.start < cells.stop}
            found += [(name, one.output) for name in over if not isinstance(one, IN_PLACE) or read[name] != written]
        if one.output in start:
            renamed = isinstance(one, RENAMES)
            root[one.output] = root[one.inputs[0]] if renamed else one.output
            content |= {start[one.output] + cell: root[one.output] for cell in range(sizes[one.output])}
    return found


@pytest.mark.parametrize("name", ["lenet5", "slim-cnn", "resnet20"])
def test_no_value_is_overwritten_before_it_is_read(name: str) -> None:
    model = build(name)
    operations = list(folded(exportable_of(task_of(model), weights_of(model)).operations))
    shapes = {one.output: one.shape for one in operations}
    plan = planned(operations, shapes)
    assert clashes(operations, dict(plan.start)) == []
    assert PROBABILITIES not in plan.start
    sizes = [math.prod(one.shape) for one in operations]
    assert plan.size <= 3 * max(sizes) < sum(sizes)
    broken = dict.fromkeys(plan.start, 0)
    assert clashes(operations, broken) != []


def test_lenet_needs_no_more_than_its_two_largest_neighbours() -> None:
    model = build("lenet5")
    operations = folded(exportable_of(task_of(model), weights_of(model)).operations)
    plan = planned(operations, {one.output for one in operations})
    assert plan.size == 6 * 28 * 28 + 6 * 14 * 14
