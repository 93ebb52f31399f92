"""A record of parity comes back from JSON with the same outcome, also where numbers in it are not finite."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from firstlight.records.codec import MismatchError
from firstlight.records.parity import CompiledGraph, GraphFault, Parity

FOUND = Parity.of(json.loads((Path(__file__).parent / "kept" / "parity.json").read_text()))
_, DENSE, CHAIN = FOUND.layers
LOST = replace(DENSE.dx, hand_central=math.inf, uncertainty=math.inf)
RUN = FOUND.runs[0]
WRONG = GraphFault(("matmul",), ("dense1",), "the output", math.inf)
CASES = {
    "as it was": FOUND,
    "an output": replace(FOUND, layers=(replace(DENSE, y=math.inf), CHAIN)),
    "a gradient with respect to an input": replace(FOUND, layers=(replace(DENSE, dx=LOST), CHAIN)),
    "a gradient of a layer": replace(FOUND, layers=(replace(DENSE, parameters={"W": LOST}), CHAIN)),
    "the loss": replace(FOUND, loss=replace(FOUND.loss, value=math.inf, dy=LOST)),
    "a gradient through the net": replace(FOUND, parameters=(replace(FOUND.parameters[0], gradient=LOST),)),
    "the graph": replace(FOUND, graph=CompiledGraph(3, 8, math.inf, {"dense1.W": math.inf}, WRONG)),
    "training": replace(FOUND, runs=(replace(RUN, loss=(0.0, math.inf, math.inf)), FOUND.runs[1])),
}


@pytest.mark.parametrize("found", CASES.values(), ids=CASES)
def test_it_comes_back(found: Parity) -> None:
    assert [row.container for row in found.layers][-2:] == [False, True]
    assert found.passed == (found is FOUND)
    assert Parity.of(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found


def test_losses_that_are_not_finite_come_back_as_no_numbers() -> None:
    found = replace(FOUND, runs=(replace(RUN, numpy=(1.0, math.nan, math.inf)), FOUND.runs[1]))
    back = Parity.of(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    assert back.runs[0].numpy[0] == 1.0
    assert all(map(math.isnan, back.runs[0].numpy[1:]))


def test_a_number_that_is_needed_may_not_be_null() -> None:
    with pytest.raises(MismatchError, match=r"speed\.ratio\.median: must be a number; received None"):
        Parity.of({**FOUND.to_json(), "speed": {**FOUND.to_json()["speed"], "ratio": {"median": None}}})
