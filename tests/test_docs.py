"""The pages of docs/ that the program makes are current."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from firstlight.study import Experiment

DOCS = Path(__file__).parents[1] / "docs"


def test_the_reference_of_the_experiment_file_is_current() -> None:
    """Where it is not: python docs/experiment.py."""
    spec = importlib.util.spec_from_file_location("experiment_page", DOCS / "experiment.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = module.page()
    assert page == (DOCS / "experiment.md").read_text(encoding="utf-8")
    schema = Experiment.model_json_schema()
    keys = {*schema["properties"], *(key for table in schema["$defs"].values() for key in table.get("properties", {}))}
    assert {key for key in keys if f"`{key}`" not in page and f"`[{key}]`" not in page} == set()
