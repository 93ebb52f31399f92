"""The JSON Schema of the experiment file allows what `Experiment.of` takes, and nothing else."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pytest
from annotated_types import Gt
from jsonschema import Draft202012Validator

import firstlight as fl
from firstlight.errors import FirstlightError
from firstlight.experiments import Experiment
from firstlight.experiments.config import NAMED
from firstlight.schedules import SCHEDULES, Schedule
from firstlight.types import Array

SCHEMA = Experiment.model_json_schema()
LAYERS: list[dict[str, Any]] = [{"type": "Flatten"}, {"type": "Chain", "layers": [{"type": "Dense", "units": 3}]}]


def of_file(tables: dict[str, Any]) -> bool:
    try:
        experiment = Experiment.of({"data": {"source": "digits"}, **tables})
        if experiment.model.layers is not None:
            experiment.build_model((8, 8, 1), 3)
    except FirstlightError:
        return False
    return True


@pytest.mark.parametrize(
    ("tables", "allowed"),
    [
        ({}, True),
        ({"sed": 3}, False),
        ({"loss": {"name": "mse"}}, True),
        ({"loss": {"label_smoothing": 0.1}}, True),
        ({"loss": {"label_smoothing": 2}}, False),
        ({"loss": {"name": "mse", "label_smoothing": 0.1}}, False),
        ({"schedule": {"name": "step", "every": 2, "warmup": 1.5}}, True),
        ({"schedule": {"name": "step", "every": 2.5}}, False),
        ({"schedule": {"name": "stp"}}, False),
        ({"optimizer": {"name": "sgd", "momentum": 0.9, "lag": 0.1, "lr": 0.2}}, True),
        ({"optimizer": {"momentum": 0.9}}, False),
        ({"model": {"name": "mlp-128", "units": [1, 2], "outputs": 1}}, True),
        ({"model": {"name": "mlp-128", "units": [0]}}, False),
        ({"model": {"pooling": "average"}}, True),
        ({"model": {"pooling": "mean"}}, False),
        ({"model": {"layers": LAYERS}}, True),
        ({"model": {"name": "mine", "layers": LAYERS}}, True),
        ({"model": {"name": "lenet5", "layers": LAYERS}}, False),
        ({"model": {"layers": [{"type": "Chain", "layers": [{"type": "Dens", "units": 3}]}]}}, False),
        ({"model": {"layers": [{"type": "Dense"}]}}, False),
        ({"model": {"layers": [{"type": "Dense", "units": 3, "unit": 3}]}}, False),
    ],
)
def test_the_schema_and_the_program_agree(tables: dict[str, Any], allowed: bool) -> None:
    valid = Draft202012Validator(SCHEMA).is_valid({"data": {"source": "digits"}, **tables})
    assert (valid, of_file(tables)) == (allowed, allowed)


def test_it_is_a_schema_and_explains_each_option() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    for table, registry in NAMED.items():
        named = [
            way for way in SCHEMA["$defs"][table.capitalize()]["oneOf"] if "const" in way["properties"].get("name", ())
        ]
        assert [way["properties"]["name"]["const"] for way in named] == list(registry)
        for way in named:
            options = {key: about for key, about in way["properties"].items() if key not in ("name", "layers")}
            assert all(about["description"] for about in options.values()), way["title"]
            assert set(registry.json_schema(way["title"])["properties"]) <= set(options)


def test_a_component_of_ones_own_is_in_it() -> None:
    tables = {"data": {"source": "digits"}, "schedule": {"name": "flat", "share": 0.5}}
    assert not Draft202012Validator(SCHEMA).is_valid(tables)
    with SCHEDULES.restored():

        @fl.schedule
        class Flat(Schedule):
            """A share of the rate.

            share  of the rate
            """

            share: Annotated[float, Gt(0)] = 0.5

            def curve(self, epochs: Array, progress: Array) -> Array:
                return np.full_like(progress, self.share)

        assert Draft202012Validator(Experiment.model_json_schema()).is_valid(tables)
