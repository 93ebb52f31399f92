"""`firstlight components`: every kind, name and option, and the schema for an editor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.conftest import Answer

import firstlight as fl
from firstlight.experiments import Experiment
from firstlight.optimizers import OPTIMIZERS
from firstlight.schedules import SCHEDULES, Schedule
from firstlight.types import Array

Call = Callable[..., Answer]


def test_kinds_names_and_options_are_listed(firstlight: Call) -> None:
    kinds = firstlight("components", "--json").json()
    assert set(kinds) == set(fl._REGISTRIES)
    assert kinds["optimizer"] == list(OPTIMIZERS)
    rows = firstlight("components", "optimizers", "--json").json()
    assert [row["name"] for row in rows] == list(OPTIMIZERS)
    assert all(row["about"] and row["origin"].startswith("firstlight.") for row in rows)
    one = firstlight("components", "optimizer", "sgd", "--json").json()
    assert one["properties"]["momentum"] == OPTIMIZERS.json_schema("sgd")["properties"]["momentum"]
    for kind, names in kinds.items():
        assert firstlight("components", kind).out.count("\n") > len(names)
        assert firstlight("components", kind, names[0]).code == 0
    assert "Newton–Schulz iterations per step; an integer from 1" in firstlight("components", "optimizer", "muon").out


def test_the_schema_is_that_of_the_experiment_file(firstlight: Call) -> None:
    assert firstlight("components", "--schema").json() == Experiment.model_json_schema()


def test_what_is_a_users_own_says_so(firstlight: Call) -> None:
    with SCHEDULES.restored():

        @fl.schedule
        class Flat(Schedule):
            """The same all along.

            needed_one  is needed
            """

            needed_one: int

            def curve(self, epochs: Array, progress: Array) -> Array:
                return np.ones_like(progress)

        assert f"The same all along. (of {__name__})" in " ".join(firstlight("components", "schedule").out.split())
        assert "needed_one  needed" in firstlight("components", "schedule", "flat").out


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("optimzer",), "no kind of component called 'optimzer'. Did you mean optimizer?"),
        (("optimizer", "adm"), "optimizer: 'adm' is unknown. Did you mean adam"),
        (("loss", "focl", "--json"), "Did you mean focal"),
    ],
)
def test_a_slip_is_told_with_the_nearest(firstlight: Call, asked: tuple[str, ...], words: str) -> None:
    answer = firstlight("components", *asked)
    assert (answer.code, answer.out) == (2, "")
    assert words in answer.err
